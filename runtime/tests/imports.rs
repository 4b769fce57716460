//! Imports point one way: among the modules of one parent, none imports itself through others. In the guard's crate
//! they also follow the order that ARCHITECTURE.md shows.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use syn::{Item, UseTree, visit::Visit};

const CRATES: [&str; 11] = [
    "macros",
    "runtime",
    "runtime/client",
    "runtime/evidence",
    "runtime/export",
    "runtime/otel",
    "runtime/signer",
    "runtime/store",
    "runtime/tls",
    "testkit",
    "cli",
];

/// The modules of a crate, by their paths. The root is the empty path.
type Modules = BTreeMap<Vec<String>, Module>;

#[derive(Default)]
struct Module {
    items: BTreeSet<String>,
    /// Name and path of each import; `*` for a glob.
    uses: Vec<(String, Vec<String>)>,
    /// Paths in code that start at `crate`, `self` or `super`.
    paths: Vec<Vec<String>>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn modules(krate: &Path) -> Modules {
    let entry =
        ["src/lib.rs", "src/main.rs"].map(|name| krate.join(name)).into_iter().find(|path| path.exists());
    let mut modules = Modules::new();
    read(&entry.unwrap(), Vec::new(), &mut modules);
    modules
}

fn read(file: &Path, path: Vec<String>, modules: &mut Modules) {
    let parsed = syn::parse_file(&std::fs::read_to_string(file).unwrap()).unwrap();
    collect(parsed.items, file, path, modules);
}

fn collect(items: Vec<Item>, file: &Path, path: Vec<String>, modules: &mut Modules) {
    let mut module = Module::default();
    for item in items {
        if attributes(&item).iter().any(is_for_tests) {
            continue;
        }
        Paths(&mut module.paths).visit_item(&item);
        match item {
            Item::Mod(child) => {
                let name = child.ident.to_string();
                let path = [&path[..], std::slice::from_ref(&name)].concat();
                module.items.insert(name.clone());
                match child.content {
                    Some((_, items)) => collect(items, file, path, modules),
                    None => {
                        let stem = file.file_stem().unwrap();
                        let folder = file.parent().unwrap();
                        let folder = match stem.to_str().unwrap() {
                            "lib" | "main" | "mod" => folder.to_owned(),
                            _ => folder.join(stem),
                        };
                        let flat = folder.join(format!("{name}.rs"));
                        let nested = folder.join(&name).join("mod.rs");
                        read(if flat.exists() { &flat } else { &nested }, path, modules);
                    }
                }
            }
            Item::Use(import) => flatten(&import.tree, &mut Vec::new(), &mut module.uses),
            Item::Const(item) => drop(module.items.insert(item.ident.to_string())),
            Item::Enum(item) => drop(module.items.insert(item.ident.to_string())),
            Item::Fn(item) => drop(module.items.insert(item.sig.ident.to_string())),
            Item::Macro(item) => drop(item.ident.map(|name| module.items.insert(name.to_string()))),
            Item::Static(item) => drop(module.items.insert(item.ident.to_string())),
            Item::Struct(item) => drop(module.items.insert(item.ident.to_string())),
            Item::Trait(item) => drop(module.items.insert(item.ident.to_string())),
            Item::Type(item) => drop(module.items.insert(item.ident.to_string())),
            _ => {}
        }
    }
    modules.insert(path, module);
}

fn attributes(item: &Item) -> &[syn::Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn is_for_tests(attribute: &syn::Attribute) -> bool {
    attribute.path().is_ident("cfg")
        && attribute.meta.require_list().is_ok_and(|list| {
            let condition = list.tokens.to_string();
            condition == "test" || condition.contains("doctest")
        })
}

fn flatten(tree: &UseTree, prefix: &mut Vec<String>, uses: &mut Vec<(String, Vec<String>)>) {
    let with = |prefix: &[String], name: &str| [prefix, &[name.to_owned()]].concat();
    match tree {
        UseTree::Path(path) => {
            prefix.push(path.ident.to_string());
            flatten(&path.tree, prefix, uses);
            prefix.pop();
        }
        UseTree::Group(group) => group.items.iter().for_each(|tree| flatten(tree, prefix, uses)),
        UseTree::Glob(_) => uses.push(("*".to_owned(), prefix.clone())),
        UseTree::Name(name) if name.ident == "self" => {
            uses.push((prefix.last().unwrap().clone(), prefix.clone()))
        }
        UseTree::Name(name) => uses.push((name.ident.to_string(), with(prefix, &name.ident.to_string()))),
        UseTree::Rename(name) => uses.push((name.rename.to_string(), with(prefix, &name.ident.to_string()))),
    }
}

struct Paths<'p>(&'p mut Vec<Vec<String>>);

impl Visit<'_> for Paths<'_> {
    fn visit_path(&mut self, path: &syn::Path) {
        let segments: Vec<_> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if matches!(segments[0].as_str(), "crate" | "self" | "super") {
            self.0.push(segments);
        }
        syn::visit::visit_path(self, path);
    }

    fn visit_item_mod(&mut self, _: &syn::ItemMod) {}
}

/// The module that defines what a path names, if it is of this crate.
fn resolve(modules: &Modules, from: &[String], path: &[String], depth: usize) -> Option<Vec<String>> {
    assert!(depth < 32, "{path:?} goes round");
    let mut at: Vec<String> = from.to_vec();
    let mut rest = path.iter().peekable();
    match rest.peek()?.as_str() {
        "crate" => {
            rest.next();
            at.clear();
        }
        "self" => drop(rest.next()),
        "super" => {}
        first if modules[from].items.contains(first) => {}
        first => {
            // A name that the module imports, or another crate.
            let (_, import) =
                modules[from].uses.iter().find(|(name, import)| name == first && import[0] != *first)?;
            let path = import.iter().chain(&path[1..]).cloned().collect::<Vec<_>>();
            return resolve(modules, from, &path, depth + 1);
        }
    }
    while let Some(segment) = rest.next() {
        let child = [&at[..], std::slice::from_ref(segment)].concat();
        if segment == "super" {
            at.pop();
        } else if modules.contains_key(&child) {
            at = child;
        } else if modules[&at].items.contains(segment) {
            return Some(at);
        } else if let Some((_, import)) = modules[&at].uses.iter().find(|(name, _)| name == segment) {
            let path = import.iter().chain(rest).cloned().collect::<Vec<_>>();
            return resolve(modules, &at, &path, depth + 1);
        } else {
            let globs = modules[&at].uses.iter().filter(|(name, _)| name == "*");
            let tail = std::iter::once(segment).chain(rest).cloned().collect::<Vec<_>>();
            let mut found = globs
                .filter_map(|(_, glob)| resolve(modules, &at, &[&glob[..], &tail[..]].concat(), depth + 1));
            return found.next().or(Some(at));
        }
    }
    Some(at)
}

/// Which module imports which, among the modules of one parent: what is below a module counts as that module. A module
/// and what is below it may import each other.
type Siblings = BTreeMap<Vec<String>, BTreeMap<String, BTreeSet<String>>>;

fn imports(krate: &Path) -> Siblings {
    let modules = modules(krate);
    let mut siblings = Siblings::new();
    for (from, module) in &modules {
        let paths = module.uses.iter().map(|(_, path)| path).chain(&module.paths);
        for to in paths.filter_map(|path| resolve(&modules, from, path, 0)) {
            let level = from.iter().zip(&to).take_while(|(from, to)| from == to).count();
            if let (Some(one), Some(other)) = (from.get(level), to.get(level)) {
                let parent = siblings.entry(to[..level].to_vec()).or_default();
                parent.entry(one.clone()).or_default().insert(other.clone());
            }
        }
    }
    siblings
}

/// A shortest way from each module back to itself.
fn cycles(imports: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    imports.keys().filter_map(|start| cycle(imports, start)).map(|way| way.join(" -> ")).collect()
}

fn cycle<'i>(imports: &'i BTreeMap<String, BTreeSet<String>>, start: &'i str) -> Option<Vec<&'i str>> {
    let mut ways = vec![vec![start]];
    let mut seen = BTreeSet::new();
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in ways {
            for next in imports.get(*way.last().unwrap()).into_iter().flatten() {
                let way = [&way[..], &[next.as_str()]].concat();
                if next == start {
                    return Some(way);
                }
                if seen.insert(next) {
                    longer.push(way);
                }
            }
        }
        ways = longer;
    }
    None
}

#[test]
fn the_modules_of_the_guard_import_only_what_architecture_lists_below_them() {
    let architecture = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let (_, map) = architecture.split_once("The list shows the modules of `runtime/src`").unwrap();
    let (_, map) = map.split_once("```text\n").unwrap();
    let (map, _) = map.split_once("```").unwrap();
    let first =
        |line: &'static str| line.split_once(' ').map(|(name, _)| name).filter(|name| !name.is_empty());
    let order: Vec<_> = map.to_owned().leak().lines().filter_map(first).collect();
    let siblings = imports(&root().join("runtime"));
    let modules: BTreeSet<_> =
        modules(&root().join("runtime")).into_keys().filter(|path| path.len() == 1).collect();
    let listed: BTreeSet<_> = order.iter().map(|name| vec![(*name).to_owned()]).collect();
    assert_eq!(listed, modules, "ARCHITECTURE.md lists other modules than there are");
    let place = |name: &str| order.iter().position(|listed| *listed == name).unwrap();
    let mut upwards = Vec::new();
    for (from, imported) in &siblings[&Vec::new()] {
        let up = imported.iter().filter(|to| place(to) < place(from));
        upwards.extend(up.map(|to| format!("{from} imports {to}, which stands above it")));
    }
    assert!(upwards.is_empty(), "{}", upwards.join("\n"));
}

#[test]
fn no_module_imports_itself_through_others() {
    let mut found = Vec::new();
    for krate in CRATES {
        let siblings = imports(&root().join(krate));
        assert!(!siblings.is_empty(), "{krate}: nothing was read");
        for (parent, imports) in siblings {
            let cycles = cycles(&imports);
            found.extend(cycles.iter().map(|cycle| format!("{krate} {}: {cycle}", parent.join("::"))));
        }
    }
    assert!(found.is_empty(), "{} modules are part of a cycle:\n{}", found.len(), found.join("\n"));
}
