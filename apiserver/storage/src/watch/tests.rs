//! The index of watchers, and how much may wait for one.

use schema::entry::Draft;
use serde_json::json;

use super::*;

const PATIENCE: Patience = Patience { events: 4, bytes: 800 };

fn event(namespace: &str, name: &str, group: usize) -> Event {
    let object = json!({"metadata": {"name": name, "namespace": namespace, "labels": {"group": group.to_string(), "all": "x"}},
        "spec": {"nodeName": format!("node-{group}"), "other": ["x"]}, "type": "Normal"});
    let key = Key::new(GroupResource::new("", "configmaps"), namespace, name);
    Event {
        entry: Arc::new(Draft::new(object).unwrap().seal(key, 7)),
        previous: None,
        deleted: false,
    }
}

/// However many watch, nobody but those that want an event is even looked at.
#[test]
fn an_event_costs_only_those_that_want_it() {
    type Narrow = fn(&mut Scope, usize);
    let ways: [(&str, Narrow); 5] = [
        ("namespace", |scope, group| {
            scope.namespace = Some(format!("ns-{group}").into());
        }),
        ("name", |scope, group| scope.name = Some(format!("n-{group}").into())),
        ("place", |scope, group| {
            scope.namespace = Some(format!("ns-{group}").into());
            scope.name = Some(format!("n-{group}").into());
        }),
        ("label", |scope, group| {
            scope.label = Some(("group".into(), group.to_string().into()));
        }),
        ("field", |scope, group| {
            scope.namespace = Some("ns-7".into());
            scope.field = Some(("spec.nodeName".into(), format!("node-{group}").into()));
        }),
    ];
    for (way, narrow) in ways {
        let mut watchers = Watchers::default();
        let mut tickets = Vec::new();
        for number in 0..1000 {
            let mut scope = Scope::resource(GroupResource::new("", "configmaps"));
            narrow(&mut scope, number % 100);
            tickets.push(watchers.add(scope, PATIENCE));
        }
        let event = event("ns-7", "n-7", 7);
        assert_eq!(watchers.interested(&event).count(), 10, "{way}");
        watchers.send(&event);
        let reached = tickets.iter().filter(|ticket| !ticket.receiver.is_empty()).count();
        assert_eq!(reached, 10, "{way}");
        for ticket in &tickets {
            watchers.remove(&ticket.scope, ticket.id);
        }
        assert!(watchers.by_resource.is_empty() && watchers.len() == 0, "{way}");
    }
}

/// Who asks for a field is told of what comes, of what stays and of what leaves, once each.
#[test]
fn a_field_reaches_those_that_ask_for_it() {
    let mut watchers = Watchers::default();
    let mut scope = Scope::resource(GroupResource::new("", "configmaps"));
    scope.field = Some(("spec.nodeName".into(), "node-1".into()));
    let ticket = watchers.add(scope, Patience { events: 9, bytes: 9000 });
    let change = |from: Option<usize>, to: usize| Event {
        previous: from.map(|group| event("a", "n", group).entry),
        ..event("a", "n", to)
    };
    let cases = [
        (change(None, 1), 1),
        (change(Some(1), 1), 2),
        (change(Some(1), 2), 3),
        (change(Some(2), 3), 3),
        (change(None, 2), 3),
        (change(Some(2), 1), 4),
    ];
    for (event, reached) in cases {
        watchers.send(&event);
        assert_eq!(ticket.receiver.len(), reached);
    }
}

#[test]
fn one_event_has_room_and_the_next_must_fit() {
    let mut watchers = Watchers::default();
    let ticket = watchers.add(Scope::resource(GroupResource::new("", "configmaps")), PATIENCE);
    let large = event("default", &"n".repeat(1000), 1);
    watchers.send(&large);
    assert_eq!(watchers.len(), 1);
    watchers.send(&event("default", "n", 1));
    assert_eq!((watchers.len(), ticket.receiver.len()), (0, 1));
    assert!(ticket.lag.lost.load(Ordering::Acquire));
}
