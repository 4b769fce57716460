//! The diagrams of the project's documents, to Mermaid itself.

use std::{fs, path::Path};

use crate::peer;

/// The blocks marked `mermaid` of every document below a folder.
fn diagrams(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && !name.starts_with('.') && !matches!(name, "target" | "node_modules") {
            diagrams(&path, found);
        } else if name.ends_with(".md") {
            let text = fs::read_to_string(&path).unwrap();
            let blocks = text.split("```mermaid\n").skip(1);
            found.extend(blocks.filter_map(|block| block.split("```").next()).map(str::to_owned));
        }
    }
}

#[test]
fn diagrams_of_the_documents_are_valid_mermaid() {
    let mut found = Vec::new();
    diagrams(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."), &mut found);
    assert!(found.len() >= 2, "{found:?}");
    if let Some(kinds) = peer::node(include_str!("mermaid.mjs"), &found.join("\0")) {
        assert_eq!(kinds.lines().count(), found.len(), "{kinds}");
    }
}
