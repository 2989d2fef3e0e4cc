//! What routes of a good file mean.

mod kit;

use std::num::NonZeroU32;

use isobar_config::Loaded;
use isobar_config::model::*;

fn loaded(route: &str) -> Loaded {
    let text = format!(
        "listeners: {{ web: {{ bind: '127.0.0.1:0', routes: [{route}] }} }}\n\
         pools:\n  app: {{ workers: ['127.0.0.1:1'], timeouts: {{ request: 9s }} }}\n  canary: {{ workers: ['127.0.0.1:2'] }}\n"
    );
    kit::good(&text)
}

fn route(text: &str) -> Route {
    let Loaded { mut config, .. } = loaded(text);
    let ListenerKind::Http { routes } = config.listeners.remove("web").unwrap().kind else {
        panic!("{text}")
    };
    routes.into_iter().next().unwrap()
}

#[test]
fn a_split_has_shares_and_each_pool_its_own_time_outs() {
    let Action::Split(members) =
        route("{ split: { app: 95, canary: 5 }, timeouts: { first_byte: 3s } }").action
    else {
        panic!()
    };
    let seen: Vec<_> = members
        .iter()
        .map(|(to, share)| (to.pool.as_str(), share.get(), to.timeouts.request.is_some()))
        .collect();
    assert_eq!(seen, [("app", 95, true), ("canary", 5, false)]);
    assert!(members.iter().all(|(to, _)| to.timeouts.first_byte.unwrap().as_secs() == 3));
}

#[test]
fn a_pool_without_a_share_is_used_but_gets_nothing() {
    let Loaded { config, warnings } = loaded("{ split: { app: 1, canary: 0 } }");
    assert!(warnings.is_empty(), "{warnings}");
    let ListenerKind::Http { routes } = &config.listeners["web"].kind else { panic!() };
    let Action::Split(members) = &routes[0].action else { panic!() };
    assert_eq!(members.len(), 1);
    assert_eq!(members[0].1, NonZeroU32::MIN);
}
