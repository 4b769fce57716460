//! The manual pages: one for each command, and one for the configuration file.
//!
//! Nothing is written twice. Commands, options and examples are those of the help. The variables, the keys of the
//! file and the exit codes are the tables of the guide, which tests compare with the code.

mod guide;
mod page;

use clap::{Arg, Command};

use self::guide::Row;
use self::page::Page;

/// The manual has to have a date. Change it with the text, as RELEASING.md says.
const DATE: &str = "2026-11-30";

const SAMPLE: &str = include_str!("commands/init/service-token.toml");

/// The files that commands read or write, with the option that shows that a command does.
const FILES: [(&str, &str, &str); 5] = [
    ("service-token.toml", "config", "The configuration, which `init` writes. See `service-token.toml`(5)."),
    (
        "service-token.pem",
        "config",
        "The private key, which `keygen` writes with mode 0600. The configuration names it.",
    ),
    (
        "service-token.db",
        "store",
        "The store of tokens and revocations, if it is a file. The configuration names it, and `store init` creates it.",
    ),
    ("jwks.json", "config", "The public keys for verifiers, which `rotate` and `jwks` write."),
    ("NAME.token", "out_dir", "The token of the service NAME, with mode 0600."),
];

/// A file of the manual.
pub(crate) struct Manual {
    /// Such as `service-token-list.1`.
    pub(crate) file: String,
    pub(crate) content: String,
}

/// The page of the whole program.
pub(crate) fn overview(command: &Command) -> Manual {
    page(command, &[])
}

/// Every page.
pub(crate) fn all(command: &Command) -> Vec<Manual> {
    let mut pages = vec![overview(command)];
    add_subcommands(command, &mut Vec::new(), &mut pages);
    pages.push(configuration());
    pages
}

fn add_subcommands<'a>(command: &'a Command, parents: &mut Vec<&'a Command>, pages: &mut Vec<Manual>) {
    parents.push(command);
    for subcommand in subcommands(command) {
        pages.push(page(subcommand, parents));
        add_subcommands(subcommand, parents, pages);
    }
    parents.pop();
}

fn subcommands(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|command| command.get_name() != "help" && !command.is_hide_set())
}

fn page(command: &Command, parents: &[&Command]) -> Manual {
    let words = parents.iter().copied().chain([command]).map(Command::get_name).collect::<Vec<_>>();
    let (name, typed) = (words.join("-"), words.join(" "));
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let mut page = Page::new(&name, "1", DATE, &about);
    page.section("SYNOPSIS");
    synopsis(&mut page, command, &typed);
    page.section("DESCRIPTION");
    let long = command.get_long_about().map_or(about, ToString::to_string);
    page.text(&long);
    if has(command, |_| true) {
        page.section("OPTIONS");
        command.get_arguments().filter(|arg| !arg.is_hide_set()).for_each(|arg| option(&mut page, arg));
    }
    let mut below = subcommands(command).peekable();
    if below.peek().is_some() {
        page.section("COMMANDS");
        for subcommand in below {
            let about = subcommand.get_about().map(ToString::to_string).unwrap_or_default();
            page.item(&format!("`{name}-{}`(1)", subcommand.get_name()), &about);
        }
    }
    let notes = Notes::of(command);
    page.section("EXIT STATUS");
    if let Some(own) = &notes.exit {
        page.text(own);
        page.next_text("All exit codes of the program:");
    }
    for row in guide::exit_codes() {
        page.item(row.name(), row.meaning());
    }
    page.section("ENVIRONMENT");
    for row in guide::variables().filter(|row| concerns(command, row)) {
        page.item(row.name(), row.meaning());
    }
    let mut files =
        FILES.iter().filter(|(_, arg, _)| parents.is_empty() || has_named(command, arg)).peekable();
    if files.peek().is_some() {
        page.section("FILES");
        files.for_each(|(file, _, meaning)| page.item(&format!("`{file}`"), meaning));
    }
    if !notes.examples.is_empty() {
        page.section("EXAMPLES");
        page.example(&notes.examples);
    }
    page.section("SEE ALSO");
    page.text(&see_also(parents));
    Manual { file: format!("{name}.1"), content: page.finish() }
}

fn see_also(parents: &[&Command]) -> String {
    let mut others = Vec::new();
    for depth in 1..=parents.len() {
        let words: Vec<_> = parents.iter().take(depth).map(|command| command.get_name()).collect();
        others.push(format!("`{}`(1)", words.join("-")));
    }
    others.push("`service-token.toml`(5)".to_owned());
    others.join(", ")
}

fn has(command: &Command, is: impl Fn(&Arg) -> bool) -> bool {
    command.get_arguments().any(|arg| !arg.is_hide_set() && is(arg))
}

fn has_named(command: &Command, name: &str) -> bool {
    has(command, |arg| arg.get_id() == name)
}

/// Whether the command reads the variables of a row. The page of the whole program has all of them.
fn concerns(command: &Command, row: &Row) -> bool {
    let (is_whole, name) = (command.get_name() == "service-token", row.name());
    let uses_store = has_named(command, "store");
    is_whole
        || match name {
            _ if name.contains("SERVICE_TOKEN_STORE") => uses_store,
            _ if name.contains("PG") => uses_store || has_named(command, "to"),
            _ if name.contains("SUDO_USER") => uses_store,
            _ if name.contains("XDG_STATE_HOME") => command.get_name() == "dev",
            _ if name.contains("--secret-env") => has_named(command, "secret_env"),
            _ if name.contains("SERVICE_TOKEN_COMPLETE") => command.get_name() == "completions",
            _ if name.contains("SERVICE_TOKEN_ENVIRONMENT") => has_named(command, "config"),
            _ => true,
        }
}

fn synopsis(page: &mut Page, command: &Command, typed: &str) {
    let usage = command.clone().render_usage().to_string();
    let mut wrote = false;
    for line in
        usage.lines().map(|line| line.trim().trim_start_matches("Usage: ")).filter(|line| !line.is_empty())
    {
        let rest = line.strip_prefix(typed).unwrap_or(line);
        if wrote {
            page.line_break();
        }
        page.text(&format!("`{typed}`{rest}"));
        wrote = true;
    }
}

fn option(page: &mut Page, arg: &Arg) {
    let values = arg.get_value_names().unwrap_or_default().iter().map(|name| format!("<{name}>"));
    let values = values.collect::<Vec<_>>().join(" ");
    let takes_value = arg.get_action().takes_values();
    let names = [
        arg.get_short().map(|short| format!("`-{short}`")),
        arg.get_long().map(|long| format!("`--{long}`")),
    ];
    let names = names.into_iter().flatten().collect::<Vec<_>>().join(", ");
    let term = match (names.is_empty(), takes_value) {
        (true, _) => values,
        (false, true) => format!("{names} {values}"),
        (false, false) => names,
    };
    let help = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
    let mut text = vec![help];
    let defaults = arg.get_default_values().iter().map(|value| format!("`{}`", value.display()));
    let defaults = defaults.collect::<Vec<_>>().join(", ");
    if takes_value && !defaults.is_empty() {
        text.push(format!("[default: {defaults}]"));
    }
    if let Some(variable) = arg.get_env() {
        text.push(format!("[variable: `{}`]", variable.display()));
    }
    page.item(&term, &text.join(" "));
    let values = arg.get_possible_values();
    for value in values.iter().filter(|value| takes_value && !value.is_hide_set()) {
        let help = value.get_help().map(|help| format!(": {help}")).unwrap_or_default();
        page.nested(&format!("`{}`{help}", value.get_name()));
    }
}

/// The texts below the options of the help: the exit codes of the command, and its examples.
#[derive(Default)]
struct Notes {
    exit: Option<String>,
    examples: String,
}

impl Notes {
    fn of(command: &Command) -> Self {
        let text = command.get_after_long_help().or(command.get_after_help());
        let text = text.map(ToString::to_string).unwrap_or_default();
        let mut notes = Self::default();
        for paragraph in text.split("\n\n") {
            let (title, rest) = paragraph.split_once([':', ' ']).unwrap_or((paragraph, ""));
            match title {
                "Examples" => rest.trim_start_matches('\n').clone_into(&mut notes.examples),
                "Start" => notes.examples = paragraph.lines().skip(1).collect::<Vec<_>>().join("\n"),
                // The program's own table is that of the guide.
                "Exit" if !paragraph.starts_with("Exit codes:\n") => {
                    notes.exit = Some(paragraph.trim_start_matches("Exit codes: ").replace('\n', " "));
                }
                _ => {}
            }
        }
        notes
    }
}

/// The page of the configuration file.
fn configuration() -> Manual {
    let mut page = Page::new(
        "service-token.toml",
        "5",
        DATE,
        "The issuer, the signing key and the services of service tokens",
    );
    page.section("DESCRIPTION");
    page.text(
        "The file is TOML. `service-token init` writes one with every key explained. It contains no secret: it names the file of the private key.",
    );
    guide::precedence().for_each(|rule| page.bullet(&rule));
    for (title, rows) in guide::keys() {
        page.section(&title);
        for row in rows {
            page.item(row.name(), &format!("{} Default: {}.", guide::sentence(row.meaning()), row.middle()));
        }
    }
    page.section("FILES");
    page.item("`/etc/service-token/service-token.toml`", "The configuration of the Debian package.");
    page.section("EXAMPLES");
    page.example(SAMPLE);
    page.section("SEE ALSO");
    page.text("`service-token`(1), `service-token-init`(1), `service-token-rotate`(1)");
    Manual { file: "service-token.toml.5".to_owned(), content: page.finish() }
}

#[cfg(test)]
mod tests;
