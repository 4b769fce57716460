//! One manual page, in the language of troff. Text in backticks is bold.

use roff::{Inline, Roff, bold, roman};
use textwrap::{Options, WordSplitter};

/// Lines of the source: short enough that their escapes keep them below 80 bytes.
const LINE: usize = 64;

pub(super) struct Page(Roff);

impl Page {
    pub(super) fn new(name: &str, section: &str, date: &str, about: &str) -> Self {
        let mut roff = Roff::new();
        let version = format!("service-token {}", env!("CARGO_PKG_VERSION"));
        roff.control("TH", [name.to_uppercase().as_str(), section, date, &version, "Service tokens"]);
        roff.control("SH", ["NAME"]);
        let mut page = Self(roff);
        page.text(&format!("{name} - {about}"));
        page
    }

    pub(super) fn section(&mut self, title: &str) {
        self.0.control("SH", [title.to_uppercase().as_str()]);
    }

    /// Paragraphs, which an empty line divides.
    pub(super) fn text(&mut self, text: &str) {
        for (number, paragraph) in text.split("\n\n").enumerate() {
            if number > 0 {
                self.0.control("PP", []);
            }
            self.paragraph(&paragraph.replace('\n', " "));
        }
    }

    /// A further paragraph after an explanation.
    pub(super) fn next_text(&mut self, text: &str) {
        self.0.control("PP", []);
        self.text(text);
    }

    pub(super) fn line_break(&mut self) {
        self.0.control("br", []);
    }

    /// A term, and its explanation.
    pub(super) fn item(&mut self, term: &str, text: &str) {
        self.0.control("TP", []);
        self.0.text(inlines(term, &mut false));
        self.paragraph(text);
    }

    /// An item of the list inside an item.
    pub(super) fn nested(&mut self, text: &str) {
        self.0.control("RS", []);
        self.bullet(text);
        self.0.control("RE", []);
    }

    pub(super) fn bullet(&mut self, text: &str) {
        self.0.control("IP", ["-", "2"]);
        self.paragraph(text);
    }

    /// Lines that stay as they are.
    pub(super) fn example(&mut self, text: &str) {
        self.0.control("EX", []);
        for line in text.lines() {
            self.0.text([roman(line)]);
        }
        self.0.control("EE", []);
    }

    pub(super) fn finish(&self) -> String {
        self.0.render()
    }

    fn paragraph(&mut self, text: &str) {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut is_bold = false;
        for line in textwrap::wrap(
            &text,
            Options::new(LINE).word_splitter(WordSplitter::NoHyphenation).break_words(false),
        ) {
            self.0.text(inlines(&line, &mut is_bold));
        }
    }
}

/// The pieces between backticks, which may begin on one line and end on the next.
fn inlines(text: &str, is_bold: &mut bool) -> Vec<Inline> {
    let mut inlines = Vec::new();
    for (number, piece) in text.split('`').enumerate() {
        if number > 0 {
            *is_bold = !*is_bold;
        }
        if !piece.is_empty() {
            inlines.push(if *is_bold { bold(piece) } else { roman(piece) });
        }
    }
    inlines
}
