//! The controllers that keep an API server tidy: garbage collection, ends of namespaces, ends of CRDs.
