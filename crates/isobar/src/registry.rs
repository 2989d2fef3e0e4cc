//! The strategies as the configuration needs to know them, taken from their own table.

use std::collections::BTreeMap;

use isobar_balance::strategy::{self, OptionDef, TABLE, Takes};
use isobar_config::{BadOption, OptionShape, Registry, Serves, StrategyDef};

type Judge = fn(&BTreeMap<String, String>) -> Result<Serves, BadOption>;

/// The configuration wants a plain function per strategy; a function that knows its place in the
/// table is one.
const JUDGES: &[Judge] = &[
    judge::<0>, judge::<1>, judge::<2>, judge::<3>, judge::<4>, judge::<5>, judge::<6>, judge::<7>,
];

pub(crate) fn registry() -> Registry {
    let strategies = TABLE.iter().zip(JUDGES);
    Registry {
        strategies: strategies
            .map(|(entry, judge)| StrategyDef {
                name: entry.name,
                about: entry.about,
                schema: OptionShape::map(entry.options.iter().map(shape)),
                options: *judge,
            })
            .collect(),
    }
}

fn shape(option: &OptionDef) -> OptionShape {
    let shape = match option.takes {
        Takes::Words(words) => OptionShape::words(words),
        Takes::Number(least, most) => OptionShape::number(least, most),
        Takes::Text { pattern, .. } => OptionShape::text(pattern),
    };
    shape.named(option.name, option.about, option.default)
}

fn judge<const PLACE: usize>(options: &BTreeMap<String, String>) -> Result<Serves, BadOption> {
    match (TABLE[PLACE].build)(options) {
        Ok(strategy) if strategy.key().needs_http() => Ok(Serves::Http),
        Ok(_) => Ok(Serves::Anything),
        Err(strategy::BadOption::Unknown { option, known }) => {
            Err(BadOption::Unknown { option, known })
        }
        Err(strategy::BadOption::Value { option, expected, hint }) => {
            Err(BadOption::Value { option, expected, hint })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_strategy_is_known() {
        let known = registry().strategies;
        assert!(known.iter().map(|def| def.name).eq(TABLE.iter().map(|entry| entry.name)));
        assert!(known.iter().all(|def| def.schema["additionalProperties"] == false));
    }
}
