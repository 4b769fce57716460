//! `service-token completions`: a completion script for a shell.
//!
//! The script knows no command and no option. It calls this program, which completes its own command line. So the
//! script fits every later version, and completes names and ids from the configuration and the store.

use clap::Args;
use clap_complete::Shell;
use clap_complete::env::Shells;

use crate::exit::Exit;
use crate::output;
use crate::problem::{Outcome, Problem, ProblemCode};

const NAME: &str = "service-token";

/// The variable that a script sets to the name of its shell.
pub(crate) const VARIABLE: &str = "SERVICE_TOKEN_COMPLETE";

const EXAMPLES: &str = "\
Examples:
  service-token completions bash > ~/.local/share/bash-completion/completions/service-token
  service-token completions zsh > ~/.zfunc/_service-token
  service-token completions fish > ~/.config/fish/completions/service-token.fish";

/// Bash splits words at `=` and `:`, so that a scope or `--option=VALUE` is several words. The function joins them
/// before it asks, and removes what the line has already from the answers.
const BASH: &str = r#"_service_token() {
    local words=() word prefix='' reply=() candidate index
    for ((index = 0; index <= COMP_CWORD; index++)); do
        word=${COMP_WORDS[index]}
        if ((index > 1)) && { [[ $word == [=:]* ]] || [[ ${COMP_WORDS[index - 1]} == [=:] ]]; }; then
            words[${#words[@]} - 1]+=$word
        else
            words+=("$word")
        fi
    done
    word=${words[${#words[@]} - 1]}
    [[ $word != *[=:]* ]] || prefix=${word%"${word##*[=:]}"}
    while IFS= read -r -d $'\v' candidate; do
        reply+=("${candidate#"$prefix"}")
    done < <(
        _CLAP_IFS=$'\v' _CLAP_COMPLETE_INDEX=$((${#words[@]} - 1)) VARIABLE=bash \
            service-token -- "${words[@]}" 2>/dev/null
        printf '\v'
    )
    [[ ${#reply[@]} -ne 1 || -n ${reply[0]} ]] || reply=()
    COMPREPLY=("${reply[@]}")
    [[ ${#reply[@]} -ne 1 || ${reply[0]} != */ ]] || compopt -o nospace 2>/dev/null
}
complete -o nosort -F _service_token service-token 2>/dev/null || complete -F _service_token service-token
"#;

/// The first completion of a session loads the script as a function of that name, and expects an answer.
const ZSH_FIRST: &str =
    "[[ $funcstack[1] != _service-token ]] || _clap_dynamic_completer_service_token \"$@\"\n";

/// Print a completion script for a shell
///
/// The script completes commands, options and their values. Names of services, keys and tokens come from the
/// configuration and the store that the command line names.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CompletionsOptions {
    /// The shell that reads the script
    shell: Shell,
}

pub(crate) fn run(options: &CompletionsOptions) -> Outcome<Exit> {
    let mut script = match options.shell {
        Shell::Bash => BASH.replace("VARIABLE", VARIABLE).into_bytes(),
        shell => registration(&shell.to_string())?,
    };
    if options.shell == Shell::Zsh {
        script.extend_from_slice(ZSH_FIRST.as_bytes());
    }
    output::result_bytes(&script)?;
    Ok(Exit::Done)
}

fn registration(shell: &str) -> Outcome<Vec<u8>> {
    let mut script = Vec::new();
    let written = Shells::builtins()
        .completer(shell)
        .map(|shell| shell.write_registration(VARIABLE, NAME, NAME, NAME, &mut script));
    match written {
        Some(Ok(())) => Ok(script),
        Some(Err(error)) => Err(Problem::new(ProblemCode::Io, format!("cannot write the script: {error}"))),
        None => Err(Problem::usage(format!("no script for the shell `{shell}`"))),
    }
}
