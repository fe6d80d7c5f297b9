//! The clients that people bring: kubectl of several releases, Helm, the Python client, kube-rs controllers. Each does its usual work on the hub.

mod access;
mod commands;
mod documented;
mod helm;
mod kubectl;
mod libraries;
