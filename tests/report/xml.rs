//! As much of an XML reader as it takes to see that an SVG is well-formed, and to find its texts.

/// A text of an SVG.
#[derive(Debug)]
pub(crate) struct Label {
    pub(crate) text: String,
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) size: f64,
    pub(crate) anchor: String,
}

impl Label {
    /// Left, top, right and bottom, at least: letters are taken for narrower than they are.
    pub(crate) fn area(&self) -> (f64, f64, f64, f64) {
        let width = self.text.chars().count() as f64 * self.size * 0.5;
        let left = match self.anchor.as_str() {
            "middle" => self.x - width / 2.0,
            "end" => self.x - width,
            _ => self.x,
        };
        (left, self.y - self.size * 0.4, left + width, self.y + self.size * 0.4)
    }
}

/// Reads an SVG to its end and returns its texts; panics where it is not well-formed.
pub(crate) fn labels(svg: &str) -> Vec<Label> {
    let forbidden = |c: char| c.is_control() && !"\n\t".contains(c) || matches!(c, '\u{fffe}' | '\u{ffff}');
    assert!(!svg.contains(forbidden), "characters that XML forbids");
    let mut open: Vec<(&str, Option<Label>)> = Vec::new();
    let mut labels = Vec::new();
    let mut rest = svg;
    while let Some(start) = rest.find('<') {
        let (text, tag) = rest.split_at(start);
        take_text(&mut open, text);
        let end = tag.find('>').expect("every tag is closed");
        let inner = &tag[1..end];
        rest = &tag[end + 1..];
        if let Some(name) = inner.strip_prefix('/') {
            let (opened, label) = open.pop().expect("nothing is closed twice");
            assert_eq!(opened, name.trim(), "tags close in order");
            labels.extend(label);
        } else {
            let attributes = attributes(inner.trim_end_matches('/'));
            let name = inner.split_whitespace().next().expect("tags have names").trim_end_matches('/');
            if !inner.ends_with('/') {
                open.push((name, (name == "text").then(|| label(&attributes))));
            }
        }
    }
    assert!(open.is_empty(), "everything is closed: {open:?}");
    labels
}

fn take_text(open: &mut [(&str, Option<Label>)], text: &str) {
    let text = unescaped(text);
    match open.last_mut() {
        Some((_, Some(label))) => label.text.push_str(text.trim()),
        _ => assert!(text.trim().is_empty(), "text outside of texts: {text}"),
    }
}

fn attributes(tag: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = tag.split_once(char::is_whitespace).map_or("", |(_, rest)| rest).trim();
    while !rest.is_empty() {
        let (name, value) = rest.split_once("=\"").expect("attributes have values");
        let (value, more) = value.split_once('"').expect("values end");
        found.push((name.trim().to_owned(), unescaped(value)));
        rest = more.trim();
    }
    found
}

fn label(attributes: &[(String, String)]) -> Label {
    let get = |name: &str| {
        attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()).unwrap_or_default()
    };
    let number = |name: &str| get(name).parse().expect("a number");
    Label { text: String::new(), x: number("x"), y: number("y"), size: number("font-size"), anchor: get("text-anchor") }
}

fn unescaped(text: &str) -> String {
    for entity in text.split('&').skip(1) {
        let name = entity.split_once(';').expect("entities end").0;
        assert!(["lt", "gt", "amp", "quot", "apos"].contains(&name), "an unknown entity: {name}");
    }
    [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")]
        .into_iter()
        .fold(text.to_owned(), |text, (entity, c)| text.replace(entity, c))
}
