//! All tests that need more than one crate: facts about the tree, and a federation driven by real kubectl.

mod tidy;
