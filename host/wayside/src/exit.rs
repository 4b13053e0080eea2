//! From how a command went to the process's exit code.

use std::{io::Write as _, process::ExitCode};

use wayside_edge::causes::told;

use crate::client::refusal::Refusal;

/// Says on standard error why a command failed, and returns the exit code: 0 done, 1 failed. (Clap ends the process
/// with 2 when the command line cannot be read.)
pub(crate) fn report(outcome: anyhow::Result<()>) -> ExitCode {
    let Err(error) = outcome else { return ExitCode::SUCCESS };
    let mut text = format!("error: {}\n", printable(&told(error.as_ref())));
    if let Some(hint) = error.downcast_ref::<Refusal>().and_then(Refusal::hint) {
        text = format!("{text}hint: {hint}\n");
    }
    // Where standard error is gone too, the exit code has to do.
    let _ = std::io::stderr().write_all(text.as_bytes());
    ExitCode::FAILURE
}

/// What others wrote must not command the terminal; lines may stay.
fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() && character != '\n' {
            printable.extend(character.escape_default());
        } else {
            printable.push(character);
        }
    }
    printable
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn what_others_wrote_cannot_command_the_terminal() {
        assert_eq!(printable("a\u{1b}[2J\nb"), "a\\u{1b}[2J\nb");
    }
}
