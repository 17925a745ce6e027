//! Troubles that people reported about similar systems, each under the name of its kind.

mod connections;
