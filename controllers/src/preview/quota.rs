//! What quotas would allow, counted along while bindings change.

use std::collections::BTreeMap;
use std::sync::Arc;

use crds::features::Gate;
use schema::entry::Key;
use serde_json::Value;

use super::world::World;
use crate::kinds;
use crate::quota::plan::{self, Amounts, Binding};

/// A quota with what is used of it so far.
struct Account {
    title: String,
    overall: Amounts,
    used: Amounts,
}

/// The quotas of the namespaces that were asked for.
#[derive(Default)]
pub(super) struct Quotas {
    accounts: BTreeMap<Arc<str>, Vec<Account>>,
}

impl Quotas {
    /// Counts a binding that changes, or says which quota does not allow it; then nothing is counted.
    pub(super) fn charge(
        &mut self,
        world: &World<'_>,
        binding: &Key,
        have: &Value,
        want: &Value,
    ) -> Result<(), String> {
        if binding.resource != kinds::BINDING.group_resource
            || !world.context.config.features.on(Gate::FederatedQuotaEnforcement)
        {
            return Ok(());
        }
        let accounts = self
            .accounts
            .entry(binding.namespace.clone())
            .or_insert_with(|| open(world, &binding.namespace));
        if accounts.is_empty() {
            return Ok(());
        }
        let (before, after) = (plan::usage(&read(have)), plan::usage(&read(want)));
        let charged =
            |account: &Account| plan::charged(&account.title, &account.overall, &account.used, &before, &after);
        let sums: Result<Vec<Option<Amounts>>, _> = accounts.iter().map(charged).collect();
        let sums = sums.map_err(|exceeded| exceeded.to_string())?;
        for (account, sum) in accounts.iter_mut().zip(sums) {
            if let Some(sum) = sum {
                account.used = sum;
            }
        }
        Ok(())
    }
}

fn read(binding: &Value) -> Binding {
    serde_json::from_value(binding.clone()).unwrap_or_default()
}

fn open(world: &World<'_>, namespace: &str) -> Vec<Account> {
    let quotas = world.list(&kinds::QUOTA.group_resource, namespace);
    let living = quotas.iter().filter(|quota| quota.meta().deletion_timestamp.is_none());
    let account = |entry: &Arc<schema::entry::Entry>| {
        let quota = entry.value();
        let overall = Amounts::of(&quota["spec"]["overall"]);
        let used = match &quota["status"]["overallUsed"] {
            // Nobody has counted it yet.
            Value::Null => {
                let mut used = Amounts::default();
                for binding in world.context.hub.list(&kinds::BINDING.group_resource, Some(namespace)) {
                    used.add(&plan::usage(&read(&binding.value())), 1);
                }
                used
            }
            used => Amounts::of(used),
        };
        Account {
            title: format!("{}/{}", entry.namespace(), entry.name()),
            overall,
            used,
        }
    };
    living.map(account).collect()
}
