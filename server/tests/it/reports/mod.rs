//! Troubles that people reported about similar systems, each under the name of its kind.

mod ansi_in_log_file;
mod connections;
mod empty_variables;
mod sighup;
mod stderr_pipe_closed;
