//! Values by number.

use std::collections::HashMap;

use serde_json::Value;

/// A value of a register: its number among the values of the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueId(pub u32);

/// The values that a history names.
#[derive(Clone, Debug, Default)]
pub struct Values {
    names: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl Values {
    /// The number of a value, new if it was not known. Values are the same if their JSON is.
    pub fn intern(&mut self, value: &Value) -> ValueId {
        match value {
            Value::Null => self.intern_name("nil"),
            other => self.intern_name(&other.to_string()),
        }
    }

    /// The number of a value, given as it is to be printed.
    pub fn intern_name(&mut self, name: &str) -> ValueId {
        if let Some(&number) = self.numbers.get(name) {
            return ValueId(number);
        }
        let number = self.names.len() as u32;
        self.names.push(name.to_owned());
        self.numbers.insert(name.to_owned(), number);
        ValueId(number)
    }

    /// A value of its own, even if another one is printed alike.
    pub(in crate::linear) fn push_name(&mut self, name: String) -> ValueId {
        self.names.push(name);
        ValueId(self.names.len() as u32 - 1)
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
