//! Tokens whose signature has been verified, by their digest. Bounded: two generations, of which the older is dropped when
//! the younger is full. What fails is not remembered, so that nobody can fill this with rubbish.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ring::digest::{SHA256, digest};

use super::claims::Claims;

/// How many tokens a generation holds.
const GENERATION: usize = 1024;

type Digest = [u8; 32];

/// The tokens that are known.
#[derive(Default)]
pub(super) struct Verified {
    generations: Mutex<Generations>,
}

#[derive(Default)]
struct Generations {
    young: HashMap<Digest, Arc<Claims>>,
    old: HashMap<Digest, Arc<Claims>>,
}

impl Verified {
    /// The claims of a token, verified when they are not known.
    pub(super) fn get_or_insert(&self, token: &str, verify: impl FnOnce() -> Option<Claims>) -> Option<Arc<Claims>> {
        let mut key = Digest::default();
        key.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        let known = {
            let mut generations = self.lock();
            let found = generations.young.get(&key).cloned();
            found.or_else(|| {
                generations
                    .old
                    .remove(&key)
                    .inspect(|claims| generations.add(key, claims))
            })
        };
        if known.is_some() {
            return known;
        }
        // Others are served meanwhile.
        let claims = Arc::new(verify()?);
        self.lock().add(key, &claims);
        Some(claims)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Generations> {
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let generations = self.lock();
        generations.young.len() + generations.old.len()
    }
}

impl Generations {
    fn add(&mut self, key: Digest, claims: &Arc<Claims>) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, claims.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_the_rest_is_bounded() {
        let verified = Verified::default();
        assert!(verified.get_or_insert("bad", || None).is_none());
        assert_eq!(verified.len(), 0);
        for index in 0..10 * GENERATION {
            let token = format!("t{index}");
            assert!(verified.get_or_insert(&token, || Some(Claims::default())).is_some());
            if index % 100 == 0 {
                let often = verified.get_or_insert("often", || (index == 0).then(Claims::default));
                assert!(often.is_some(), "{index}");
            }
        }
        assert!(verified.len() <= 2 * GENERATION);
    }
}
