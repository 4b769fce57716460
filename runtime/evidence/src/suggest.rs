//! Suggests narrower policies: the services that called, instead of the services that may call.
//!
//! A suggestion is a change for a person to read. This crate applies none.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::Serialize;
use service_only::routes::{Access, Requirements, Route, RouteTable};

use crate::{survey::Survey, unused::Window};

/// A narrower list of services for one handler.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Suggestion {
    /// The handler.
    pub endpoint: String,
    /// The source line of the handler's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The services that may call now; `None` means any service.
    pub now: Option<Vec<String>>,
    /// The services that called.
    pub narrower: Vec<String>,
    /// The attribute that admits only them.
    pub attribute: String,
}

impl Survey {
    /// The handlers of a table that admit more services than called within the window. A handler that no service called
    /// has no suggestion; the report `unused` has it. Empty if the records of this table cover too little of the window.
    pub fn suggestions(&self, table: &RouteTable, window: Window) -> Vec<Suggestion> {
        if !self.table_coverage(table, window).is_enough {
            return Vec::new();
        }
        let since = window.end.saturating_sub(window.length);
        let mut suggestions: Vec<_> =
            table.routes().iter().filter_map(|route| self.suggestion(route, since)).collect();
        suggestions.sort_by(|one, other| one.endpoint.cmp(&other.endpoint));
        suggestions.dedup();
        suggestions
    }

    fn suggestion(&self, route: &Route, since: i64) -> Option<Suggestion> {
        let endpoint = route.endpoint()?;
        let Access::ServiceOnly(Requirements { services, .. }) = route.access() else { return None };
        // The records do not show which services a set has.
        if services.iter().flatten().any(|service| service.starts_with('@')) {
            return None;
        }
        let callers = self.callers(endpoint, since);
        let narrower: Vec<String> = match services {
            Some(services) => {
                services.iter().filter(|service| callers.contains(&service.as_str())).cloned().collect()
            }
            None => callers.iter().map(|caller| (*caller).to_owned()).collect(),
        };
        let is_narrower = services.as_ref().is_none_or(|services| narrower.len() < services.len());
        (is_narrower && !narrower.is_empty()).then(|| Suggestion {
            endpoint: endpoint.to_owned(),
            line: route.line(),
            now: services.clone(),
            attribute: attribute(route.access(), &narrower),
            narrower,
        })
    }
}

/// The table with the suggestions applied, for the exports to a mesh.
///
/// # Errors
/// When the table cannot be written as JSON and read again.
pub fn narrowed(table: &RouteTable, suggestions: &[Suggestion]) -> serde_json::Result<RouteTable> {
    let mut value = serde_json::to_value(table)?;
    let routes = value.get_mut("routes").and_then(serde_json::Value::as_array_mut);
    for route in routes.into_iter().flatten() {
        let endpoint = route.pointer("/handler/endpoint").and_then(serde_json::Value::as_str);
        let suggested = suggestions.iter().find(|suggested| Some(suggested.endpoint.as_str()) == endpoint);
        if let (Some(suggested), Some(access)) = (suggested, route.pointer_mut("/access/service_only"))
            && let Some(access) = access.as_object_mut()
        {
            access.insert("services".to_owned(), serde_json::to_value(&suggested.narrower)?);
        }
    }
    serde_json::from_value(value)
}

fn attribute(access: &Access, services: &[String]) -> String {
    let Access::ServiceOnly(asked) = access else { return String::new() };
    let Requirements { issuers, actors, roles, scopes, any_scope, claims, max_age, proof, .. } = asked;
    let list = |key: &str, names: &[String]| format!("{key}({})", quoted(names));
    let mut keys = vec![list("services", services)];
    keys.extend(issuers.as_ref().map(|issuers| list("issuers", issuers)));
    keys.extend(actors.as_ref().map(|actors| list("actors", actors)));
    keys.extend(roles.as_ref().map(|roles| list("roles", roles)));
    if !scopes.is_empty() {
        keys.push(list("scopes", scopes));
    }
    keys.extend(any_scope.as_ref().map(|scopes| list("any_scope", scopes)));
    if !claims.is_empty() {
        let claims: Vec<_> = claims.iter().map(|(name, value)| format!("{name:?} = {value:?}")).collect();
        keys.push(format!("claims({})", claims.join(", ")));
    }
    keys.extend(max_age.map(|age| format!("max_age = \"{age}s\"")));
    keys.extend(proof.map(|proof| format!("proof = \"{proof}\"")));
    format!("#[service_only({})]", keys.join(", "))
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
}

/// The suggestions as a patch for `git apply`, and those whose attribute was not found in the sources.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Patch {
    /// A unified diff. Paths are relative to the folder of the sources.
    pub text: String,
    /// The endpoints whose attribute was not found, with the reason.
    pub not_found: Vec<String>,
}

/// Writes the suggestions as a patch of the sources in a folder. A handler is found by its name, its line, and the
/// attribute above it.
///
/// # Errors
/// When the folder cannot be read.
pub fn patch(suggestions: &[Suggestion], folder: &Path) -> io::Result<Patch> {
    let mut files = Vec::new();
    rust_files(folder, 0, &mut files)?;
    files.sort();
    let mut patch = Patch::default();
    let mut edits: Vec<(usize, Edit)> = Vec::new();
    let sources: Vec<String> =
        files.iter().map(|file| fs::read_to_string(file).unwrap_or_default()).collect();
    for suggestion in suggestions {
        let found: Vec<_> = sources
            .iter()
            .enumerate()
            .filter_map(|(file, source)| Some((file, Edit::find(source, suggestion)?)))
            .collect();
        match <[_; 1]>::try_from(found) {
            Ok([edit]) => edits.push(edit),
            Err(found) if found.is_empty() => patch.not_found.push(format!(
                "`{}`: no `fn` with this name and a plain `#[service_only]` above it is on line {}",
                suggestion.endpoint,
                suggestion.line.unwrap_or_default()
            )),
            Err(found) => {
                patch.not_found.push(format!("`{}`: {} files match", suggestion.endpoint, found.len()));
            }
        }
    }
    for (number, (file, source)) in files.iter().zip(&sources).enumerate() {
        let mut own: Vec<_> = edits.iter().filter(|(at, _)| *at == number).map(|(_, edit)| edit).collect();
        own.sort_by_key(|edit| edit.first);
        if !own.is_empty() {
            let path = file.strip_prefix(folder).unwrap_or(file).to_string_lossy().replace('\\', "/");
            diff(&path, source, &own, &mut patch.text);
        }
    }
    Ok(patch)
}

/// Lines of a file that a suggestion replaces, each with its end.
#[derive(Debug)]
struct Edit {
    /// The first replaced line, from 0.
    first: usize,
    /// The number of replaced lines.
    count: usize,
    replacement: Vec<String>,
}

/// The ways to write the attribute's name.
const NAMES: [&str; 3] = ["::service_only::service_only", "service_only::service_only", "service_only"];

impl Edit {
    fn find(source: &str, suggestion: &Suggestion) -> Option<Self> {
        let lines = lines(source);
        let name = suggestion.endpoint.rsplit("::").next()?;
        let line = (suggestion.line? as usize).checked_sub(1)?;
        let definition = lines.get(line)?;
        let after = definition.split_once("fn ")?.1.trim_start().strip_prefix(name)?;
        if !after.starts_with(['(', '<']) {
            return None;
        }
        let above = lines.get(..line)?.iter().rposition(|line| after_name(line).is_some())?;
        let text = lines.get(above..line)?.concat();
        let end = end_of_attribute(&text)?;
        let (attribute, after) = text.split_at_checked(end)?;
        // Nothing else may be on the last line, and the attribute must be that of this function.
        let rest = after.split_inclusive('\n').next().unwrap_or_default();
        if !rest.trim().is_empty() || !has_only_attributes(after) {
            return None;
        }
        let replaced = with_services(attribute, &suggestion.narrower)? + rest;
        Some(Self {
            first: above,
            count: attribute.lines().count(),
            replacement: replaced.split_inclusive('\n').map(str::to_owned).collect(),
        })
    }
}

/// The lines of a source, each with its end: `\n`, `\r\n`, or nothing at the end of the file.
fn lines(source: &str) -> Vec<&str> {
    source.split_inclusive('\n').collect()
}

/// The byte after the attribute's name, if the text starts with the attribute. A longer path is another attribute.
fn after_name(text: &str) -> Option<usize> {
    let start = text.len() - text.trim_start().len();
    let inside = text.get(start..)?.strip_prefix("#[")?;
    let name = NAMES
        .iter()
        .find(|name| inside.strip_prefix(**name).is_some_and(|rest| rest.starts_with(['(', ']'])))?;
    Some(start + "#[".len() + name.len())
}

/// Whether a text has only attributes and line comments.
fn has_only_attributes(mut text: &str) -> bool {
    loop {
        text = text.trim_start();
        text = if text.is_empty() {
            return true;
        } else if text.starts_with("//") {
            text.split_once('\n').map_or("", |(_, rest)| rest)
        } else if text.starts_with("#[")
            && let Some(rest) = end_of_attribute(text).and_then(|end| text.get(end..))
        {
            rest
        } else {
            return false;
        };
    }
}

/// The byte after the `]` that ends the attribute. Texts in quotes are skipped.
fn end_of_attribute(text: &str) -> Option<usize> {
    let start = text.find("#[")? + 2;
    let mut depth = 1;
    for (at, kind) in brackets(text, start) {
        match kind {
            '[' | '(' => depth += 1,
            _ => depth -= 1,
        }
        if depth == 0 {
            return Some(at + 1);
        }
    }
    None
}

/// The brackets of a text from a byte on, without those in quotes.
fn brackets(text: &str, start: usize) -> impl Iterator<Item = (usize, char)> {
    let mut in_quotes = false;
    let mut escaped = false;
    text.char_indices().filter(move |(at, character)| {
        if *at < start {
            return false;
        }
        match character {
            _ if escaped => escaped = false,
            '\\' if in_quotes => escaped = true,
            '"' => in_quotes = !in_quotes,
            '[' | ']' | '(' | ')' if !in_quotes => return true,
            _ => {}
        }
        false
    })
}

/// The attribute with another list of services. `None` for an attribute with comments or unusual literals, whose brackets
/// and quotes this file does not read.
fn with_services(attribute: &str, services: &[String]) -> Option<String> {
    let list = format!("services({})", quoted(services));
    let open = after_name(attribute)?;
    let (name, arguments) = attribute.split_at_checked(open)?;
    if arguments == "]" {
        return Some(format!("{name}({list})]"));
    }
    if !is_plain(arguments) {
        return None;
    }
    let mut depth = 0;
    let mut start = None;
    for (at, kind) in brackets(attribute, open) {
        match kind {
            '(' => {
                depth += 1;
                let before = attribute.get(..at)?.trim_end();
                if depth == 2 && before.ends_with("services") {
                    start = Some(before.len() - "services".len());
                }
            }
            ')' => {
                if depth == 2
                    && let Some(start) = start
                {
                    return Some(format!("{}{list}{}", attribute.get(..start)?, attribute.get(at + 1..)?));
                }
                depth -= 1;
            }
            _ => {}
        }
    }
    let inside = attribute.get(open + 1..)?;
    let comma = if inside.trim_start().starts_with(')') { "" } else { ", " };
    Some(format!("{}{list}{comma}{inside}", attribute.get(..=open)?))
}

/// Whether arguments have no comment, and only texts such as `"orders"`.
fn is_plain(arguments: &str) -> bool {
    let mut outside = arguments.split('"').step_by(2);
    !arguments.contains('\\')
        && outside.all(|text| !text.contains(['/', '\'', '#']) && !text.ends_with(char::is_alphanumeric))
}

const CONTEXT: usize = 3;

fn diff(path: &str, source: &str, edits: &[&Edit], patch: &mut String) {
    let lines = lines(source);
    let line = |at: usize| lines.get(at).copied().unwrap_or_default();
    patch.push_str(&format!("--- a/{path}\n+++ b/{path}\n"));
    let mut moved = 0_isize;
    let mut edits = edits.iter().peekable();
    while let Some(edit) = edits.next() {
        let start = edit.first.saturating_sub(CONTEXT);
        let mut hunk = String::new();
        let (mut old, mut new) = (0_usize, 0_usize);
        let mut at = start;
        let mut current = *edit;
        loop {
            while at < current.first {
                push(&mut hunk, ' ', line(at));
                (old, new, at) = (old + 1, new + 1, at + 1);
            }
            for _ in 0..current.count {
                push(&mut hunk, '-', line(at));
                (old, at) = (old + 1, at + 1);
            }
            for added in &current.replacement {
                push(&mut hunk, '+', added);
                new += 1;
            }
            match edits.peek() {
                Some(next) if next.first <= at + 2 * CONTEXT => current = edits.next().unwrap_or(&current),
                _ => break,
            }
        }
        let end = (at + CONTEXT).min(lines.len());
        while at < end {
            push(&mut hunk, ' ', line(at));
            (old, new, at) = (old + 1, new + 1, at + 1);
        }
        let new_start = (start + 1).saturating_add_signed(moved);
        patch.push_str(&format!("@@ -{},{old} +{new_start},{new} @@\n{hunk}", start + 1));
        moved += new.cast_signed() - old.cast_signed();
    }
}

/// Adds a line with its own end to a hunk.
fn push(hunk: &mut String, sign: char, line: &str) {
    hunk.push(sign);
    hunk.push_str(line);
    if !line.ends_with('\n') {
        hunk.push_str("\n\\ No newline at end of file\n");
    }
}

/// How deep folders are searched.
const MAX_DEPTH: usize = 32;

fn rust_files(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> io::Result<()> {
    if depth > MAX_DEPTH {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        let name = entry.file_name();
        if kind.is_dir() && name != "target" && !name.to_string_lossy().starts_with('.') {
            rust_files(&path, depth + 1, found)?;
        } else if kind.is_file() && path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
