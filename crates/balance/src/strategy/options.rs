//! The options of a strategy as a file gives them, and what may be wrong with one.
//!
//! Every value is text; a strategy takes those it knows and refuses the rest. Where an option
//! stands in a file is known to the configuration, which puts the place beside the words.

use std::collections::BTreeMap;
use std::fmt;

pub type Options = BTreeMap<String, String>;

/// One option of a strategy.
pub struct OptionDef {
    pub name: &'static str,
    pub about: &'static str,
    pub takes: Takes,
    /// What leaving it out means, as a file would write it; empty where that depends.
    pub default: &'static str,
}

/// What an option may be.
pub enum Takes {
    Words(&'static [&'static str]),
    /// From one number to another, both included.
    Number(f64, f64),
    /// What the whole of a regular expression matches, and a text that it does match.
    Text {
        pattern: &'static str,
        example: &'static str,
    },
}

/// What is wrong with one option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadOption {
    Unknown { option: String, known: Vec<&'static str> },
    Value { option: &'static str, expected: &'static str, hint: Option<&'static str> },
}

impl BadOption {
    pub(super) fn value(option: &'static str, expected: &'static str) -> Self {
        Self::Value { option, expected, hint: None }
    }

    pub(super) fn with_hint(self, text: &'static str) -> Self {
        match self {
            Self::Value { option, expected, .. } => {
                Self::Value { option, expected, hint: Some(text) }
            }
            unknown @ Self::Unknown { .. } => unknown,
        }
    }
}

impl fmt::Display for BadOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { option, known } if known.is_empty() => {
                write!(f, "unknown option `{option}`: this strategy has no options")
            }
            Self::Unknown { option, known } => {
                write!(f, "unknown option `{option}`: one of {}", known.join(", "))
            }
            Self::Value { option, expected, .. } => write!(f, "`{option}` must be {expected}"),
        }
    }
}

/// Refuses what is not among `known`.
pub(super) fn only(options: &Options, known: &[OptionDef]) -> Result<(), BadOption> {
    let is_known = |option: &String| known.iter().any(|def| def.name == option);
    match options.keys().find(|option| !is_known(option)) {
        Some(unknown) => {
            let known = known.iter().map(|def| def.name).collect();
            Err(BadOption::Unknown { option: unknown.clone(), known })
        }
        None => Ok(()),
    }
}
