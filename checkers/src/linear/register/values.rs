//! Values by number.

use std::collections::HashMap;
use std::fmt::Write as _;

use serde_json::Value;

/// A value of a register: its number among the values of the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueId(pub u32);

/// The values that a history names.
#[derive(Clone, Debug, Default)]
pub struct Values {
    names: Vec<String>,
    numbers: HashMap<String, u32>,
    /// Numbers that were given up.
    free: Vec<u32>,
    /// Room for the text of the value that is asked for.
    scratch: String,
}

impl Values {
    /// The number of a value, new if it was not known. Values are the same if their JSON is.
    pub fn intern(&mut self, value: &Value) -> ValueId {
        match value {
            Value::Null => self.intern_name("nil"),
            other => {
                let mut text = std::mem::take(&mut self.scratch);
                text.clear();
                write!(text, "{other}").expect("a text takes all that is written");
                let number = self.intern_name(&text);
                self.scratch = text;
                number
            }
        }
    }

    /// The number of a value, given as it is to be printed.
    pub fn intern_name(&mut self, name: &str) -> ValueId {
        self.intern_as(name, str::to_owned)
    }

    /// The number of a value, with what is to be printed for it.
    pub(in crate::linear) fn intern_as(&mut self, value: &str, name: impl FnOnce(&str) -> String) -> ValueId {
        if let Some(&number) = self.numbers.get(value) {
            return ValueId(number);
        }
        let name = name(value);
        let number = match self.free.pop() {
            Some(number) => {
                self.names[number as usize] = name;
                number
            }
            None => {
                self.names.push(name);
                self.names.len() as u32 - 1
            }
        };
        self.numbers.insert(value.to_owned(), number);
        ValueId(number)
    }

    /// A value of its own, even if another one is printed alike.
    pub(in crate::linear) fn push_name(&mut self, name: String) -> ValueId {
        self.names.push(name);
        ValueId(self.names.len() as u32 - 1)
    }

    /// How many numbers stand for a value.
    pub(in crate::linear) fn in_use(&self) -> usize {
        self.names.len() - self.free.len()
    }

    /// Forgets all values but these. Their numbers are given to new ones.
    pub(in crate::linear) fn forget_but(&mut self, is_kept: &[bool]) {
        self.free = (0..self.names.len() as u32).rev().filter(|&number| !is_kept[number as usize]).collect();
        self.numbers.retain(|_, number| is_kept[*number as usize]);
    }

    /// The values `0..count`, for histories of numbers.
    #[must_use]
    pub fn numbers(count: u32) -> Self {
        let mut values = Self::default();
        for number in 0..count {
            values.intern_name(&number.to_string());
        }
        values
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// A value as it is printed. A number that none has stands for all values that no operation observes.
    #[must_use]
    pub fn name(&self, value: ValueId) -> &str {
        self.names.get(value.0 as usize).map_or("a value that nobody observed", String::as_str)
    }
}
