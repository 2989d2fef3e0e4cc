//! How a pool chooses: its strategy, and what is wrong with its options.

use std::collections::BTreeMap;

use crate::convert::http_only::Barrier;
use crate::leaf::{StrategyRef, Text};
use crate::model::Strategy;
use crate::problem::Draft;
use crate::read::{Cx, Field, Spanned, did_you_mean};
use crate::registry::{BadOption, Registry, Serves, StrategyDef};
use crate::source::Span;

const STRATEGY: &str = "least_connections";

/// Whoever gets so many options wrong means another strategy.
const MOST_BAD_OPTIONS: usize = 20;

pub(super) fn strategy(
    field: Field<StrategyRef>,
    pool: Span,
    registry: &Registry,
    cx: &mut Cx<'_>,
) -> Option<(Strategy, Option<Barrier>)> {
    let raw = match field {
        Field::Broken => return None,
        Field::Given(raw) => raw.value,
        Field::Absent => StrategyRef {
            name: Spanned { value: STRATEGY.to_owned(), span: pool },
            shown: format!("`{STRATEGY}`"),
            options: Vec::new(),
            incomplete: false,
        },
    };
    let Spanned { value: name, span } = raw.name.clone();
    let Some(def) = registry.strategy(&name) else {
        let built = registry.names();
        let ours = crate::foreign::strategy(&name).map(|ours| format!("did you mean `{ours}`?"));
        let hint = ours
            .or_else(|| crate::foreign::no_strategy(&name).map(str::to_owned))
            .or_else(|| did_you_mean(&name, built.iter().copied()));
        cx.report(
            Draft::error(span, format!("there is no strategy {}", raw.shown))
                .expected(format!("one of {}", built.join(", ")))
                .hint(hint),
        );
        return None;
    };
    let pair = |(name, text): &(Spanned<Text>, Spanned<Text>)| {
        (name.value.text.clone(), text.value.text.clone())
    };
    let options: BTreeMap<String, String> = raw.options.iter().map(pair).collect();
    let serves = judged(&raw, options.clone(), def, cx)?;
    // Where the option stands that makes it so, as far as one can be named.
    let by = raw.options.iter().find(|(name, _)| name.value.text == "key");
    let barrier = (serves == Serves::Http).then(|| Barrier {
        at: by.map_or(span, |(_, text)| text.span),
        what: raw.shown.clone(),
        instead: "`key: client_ip`",
    });
    Some((Strategy { name, options }, barrier))
}

/// Every option that is wrong is reported: the strategy names the first, and is asked again without it.
fn judged(
    raw: &StrategyRef,
    mut options: BTreeMap<String, String>,
    def: &StrategyDef,
    cx: &mut Cx<'_>,
) -> Option<Serves> {
    let mut good = !raw.incomplete;
    for _ in 0..MOST_BAD_OPTIONS {
        let bad = match (def.options)(&options) {
            Ok(serves) => return Some(serves).filter(|_| good),
            Err(bad) => bad,
        };
        let option = match &bad {
            BadOption::Unknown { option, .. } => option.as_str(),
            BadOption::Value { option, .. } => option,
        };
        let given = options.remove(option).is_some();
        // What is missing may be what was wrong.
        if given || good {
            cx.report(bad_option(&bad, raw, raw.name.span));
        }
        good = false;
        if !given {
            break;
        }
    }
    None
}

fn bad_option(bad: &BadOption, raw: &StrategyRef, strategy: Span) -> Draft {
    let given = |option: &str| raw.options.iter().find(|(name, _)| name.value.text == option);
    match bad {
        BadOption::Unknown { option, known } => {
            let (span, shown) = match given(option) {
                Some((name, _)) => (name.span, &*name.value.shown),
                None => (strategy, &**option),
            };
            let message = format!("the strategy {} has no option {shown}", raw.shown);
            let expected = match &known[..] {
                [] => String::from("no options"),
                known => format!("one of {}", known.join(", ")),
            };
            let hint = did_you_mean(option, known.iter().copied());
            Draft::error(span, message).expected(expected).hint(hint)
        }
        BadOption::Value { option, expected, hint } => {
            let (span, found) = match given(option) {
                Some((_, text)) => (text.span, format!("found {}", text.value.shown)),
                None => (strategy, format!("found no `{option}`")),
            };
            Draft::error(span, found).expected(*expected).hint(hint.map(str::to_owned))
        }
    }
}
