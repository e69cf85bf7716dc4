//! An error and its causes, as text for people.

use std::error::Error;

/// The words of the error and of its causes, in order. What a cause repeats of the words before it is left out.
pub(crate) fn words(error: &dyn Error) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for error in std::iter::successors(Some(error), |&error| error.source()) {
        let text = error.to_string();
        if !words.iter().any(|said| said.contains(&text)) {
            words.push(text);
        }
    }
    words
}

/// The same in one line.
pub(crate) fn in_one_line(error: &dyn Error) -> String {
    words(error).join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] Middle);

    #[derive(Debug, thiserror::Error)]
    #[error("middle: inner")]
    struct Middle(#[source] std::io::Error);

    #[test]
    fn causes_are_named_in_order_and_once() {
        let error = Outer(Middle(std::io::Error::other("inner")));
        assert_eq!(words(&error), ["outer", "middle: inner"]);
        assert_eq!(in_one_line(&error), "outer: middle: inner");
    }
}
