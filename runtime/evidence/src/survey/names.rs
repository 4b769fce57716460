//! Stores each name once, and refers to it by a number.

use std::{collections::HashMap, sync::Arc};

use foldhash::fast::RandomState;

#[derive(Debug, Copy, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Name(u32);

#[derive(Debug, Default)]
pub(crate) struct Names {
    numbers: HashMap<Arc<str>, Name, RandomState>,
    texts: Vec<Arc<str>>,
}

impl Names {
    /// The name of a text. A new one is stored only if there is room for what it names, so that the names are bounded as
    /// what is counted by them.
    pub(crate) fn of(&mut self, text: &str, has_room: bool) -> Option<Name> {
        if let Some(name) = self.numbers.get(text) {
            return Some(*name);
        }
        let name = has_room.then(|| u32::try_from(self.texts.len()).ok().map(Name)).flatten()?;
        let text: Arc<str> = Arc::from(text);
        self.texts.push(Arc::clone(&text));
        self.numbers.insert(text, name);
        Some(name)
    }

    pub(crate) fn find(&self, text: &str) -> Option<Name> {
        self.numbers.get(text).copied()
    }

    pub(crate) fn text(&self, Name(number): Name) -> &str {
        self.texts.get(number as usize).map_or("", |text| text)
    }
}
