//! The trail, the connectors and the streaming of Auditstream: everything that needs neither a
//! browser nor an HTTP request.
//!
//! ```text
//! trail      ingest ─▶ check ─▶ writer (group commit) ─▶ segments: sequence 1, 2, 3 …
//!                                                            │
//! streaming  schedule ─▶ run ─▶ freeze (a batch) ◀───────────┘
//!            ticks, leases         │
//!                                  ▼
//!                               attempt (conditional PUT) ─▶ bucket: account=…/dt=…/hour=…
//!                                  │
//!                                  ▼
//!                               outcome (move the cursor)
//! ```
//!
//! In reading order:
//!
//! - [`error`]: everything that can go wrong, with its code and HTTP status
//! - [`database`]: the database, SQLite or PostgreSQL
//! - [`vault`]: the master key and secrets at rest; [`key_rotation`] replaces both keys
//! - [`actor`]: the actor of a request, and its permissions
//! - `id_filters`: filters that spare the look-up of new event ids
//! - `months`: the months by which PostgreSQL partitions the trail
//! - [`access`]: users, sessions, API tokens, accounts
//! - [`trail`]: audit events in and out
//! - `aws`: everything that speaks to AWS and knows no batch
//! - [`connectors`]: how to reach AWS, and the connection test
//! - [`destinations`]: where to stream, and what an admin does with it
//! - `marks` and [`continuity`]: whether the database is older than the numbers given out, as after
//!   a restore; backups
//! - [`relocation`]: moves an installation to another database
//! - [`paginate`]: search, order and pages of lists
//! - [`precondition`]: changes on condition that a resource has not changed meanwhile
//! - `host_memory`: how much memory there is
//! - [`shared_budget`]: memory of which one account gets at most a part
//! - [`egress_policy`]: the addresses that the server may connect to for a user
//! - [`clock`]: whether the server's clock can be trusted
//! - [`evidence`]: the log of statements that proves that nothing is missing
//! - [`retention`]: how long the trail keeps events
//! - [`metrics`]: what operators watch
//! - [`alerts`]: the webhook that is notified of failures and lag
//! - [`streaming`]: the scheduler, and how a batch gets into a bucket
//! - `background` and `task`: what runs while the server runs
//! - `scheduler_watch` and `readiness`: whether the server can do its work
//! - [`failpoint`]: places at which a test can stop a process
//!
//! # The rules, and the tests that prove them
//!
//! `docs/architecture.md` states each rule in full. Tests of `it` run on both databases, as
//! `sqlite::…` and `postgres::…`, unless noted. Those of the server are in its crate.
//!
//! 1. Durable before acknowledged.
//!    - `it::trail::the_commit_that_stores_events_waits_for_the_disk`
//!    - `it::kills`, with kills at random moments; `it::crash`, with stops at each change of state
//!    - of the server: `it::process`, `it::replicas`
//! 2. Sequence order is commit order, without gaps.
//!    - `it::trail::concurrent_writers_get_dense_sequences`
//!    - `it::replicas::a_reader_that_follows_the_sequence_misses_no_late_commit` (PostgreSQL)
//!    - `it::restores`: the gaps that restores declare, and that nothing else leaves one
//! 3. Ingest is idempotent.
//!    - `it::trail::a_duplicate_is_counted_and_not_stored`
//!    - `it::trail::member_order_is_no_conflict_and_other_content_is`
//!    - `it::trail::an_id_repeated_in_a_request_is_stored_once_or_refused`
//!    - `it::reports::ingest::an_honest_retry_that_escapes_and_orders_differently_is_a_duplicate`
//!    - `it::event_ids`, however many generations of ids there are and whichever have a filter
//!    - `it::reports::ingest::numbers_beyond_64_bits`, `it::reports::ingest::null_optional_members`
//!    - `it::model`
//! 4. A request is stored completely or not at all.
//!    - `it::trail::one_invalid_event_refuses_its_request_and_no_other`
//!    - `it::trail::requests_committed_together_do_not_fail_each_other`
//!    - `it::trail::a_hundred_invalid_events_are_named_and_all_are_counted`
//!    - `it::reports::ingest::errors_of_a_request_are_bounded_in_number_and_length`
//!    - `it::properties::refused_bytes_are_never_stored_and_no_bytes_crash_the_server`
//! 5. A batch is frozen before its first PUT.
//!    - `it::streaming::a_mistyped_bucket_is_corrected_by_editing`
//!    - `it::properties::events_of_any_size_are_cut_into_batches_within_the_limits`
//!    - `it::crash`
//! 6. An object's content follows from its batch alone.
//!    - `streaming::encode::tests::the_same_batch_gives_the_same_bytes`
//!    - `it::properties::any_batch_has_the_same_bytes_each_time`
//!    - `it::properties::another_process_at_another_time_produces_the_same_bytes`
//!    - `it::fixtures`: the open batches of earlier versions
//! 7. Every PUT is conditional and checksummed.
//!    - `it::streaming::an_existing_object_*`
//!    - `it::bucket::an_object_of_another_compressor_version_with_the_same_content_is_delivered`
//!    - `it::bucket::a_blocked_batch_is_sent_under_a_new_name`
//!    - `it::bucket::a_store_that_ignores_the_condition_is_detected_and_remembered`
//!    - `it::bucket::two_concurrent_checks_of_one_prefix_do_not_interfere`
//!    - `it::faults`
//! 8. The cursor moves only by compare-and-set.
//!    - `it::streaming::a_cursor_moved_by_another_writer_is_left_alone`
//!    - `it::replicas::a_frozen_server_that_wakes_up_changes_nothing`
//!    - `it::crash`
//! 9. Leases make work cheap, never safe.
//!    - `it::replicas` (PostgreSQL), `it::crash`, `it::model`
//!    - of the server: `it::replicas::servers_killed_in_turn_neither_lose_nor_duplicate_events`
//! 10. Nothing is ever skipped.
//!     - `it::streaming::a_failing_destination_keeps_its_events_and_shows_the_failure_until_it_recovers`
//!     - `it::streaming::an_interrupted_run_resumes_at_the_next_start`
//!     - `it::streaming::a_missing_event_stops_its_destination_visibly`
//!     - `it::panics::a_run_that_panics_fails_visibly_and_waits_for_the_next_tick`
//!     - `it::faults::any_sequence_of_faults_is_survived`
//!     - `it::model::in_any_program_every_event_lands_once_in_order_*`
//! 11. One destination, account, search or client never delays another.
//!     - `it::fairness`, `it::plans`
//!     - `it::search::searches_that_are_stuck_delay_neither_ingest_nor_sign_in_nor_streaming`
//!     - `database::search_pool::places::tests`
//!     - `streaming::limits::tests::failing_destinations_get_at_most_half_of_the_memory`
//!     - `shared_budget::tests`, `trail::turns::tests`
//!     - of the server: `it::memory`, `it::pressure::one_account_cannot_occupy_ingest`,
//!       `it::reports::connections`
//!     - `database::background::tests::the_background_lets_others_go_first`
//! 12. INACTIVE means that no new PUT of events starts.
//!     - `it::streaming::a_paused_destination_resumes_where_it_stopped`
//!     - `it::streaming::a_pause_never_waits_for_the_store_and_no_put_starts_after_it`
//!     - `it::replicas::a_pause_on_one_server_applies_to_all`
//! 13. Retention never removes an event that a destination has yet to receive, nor by a clock in
//!     doubt.
//!     - `it::retention`, `it::clocks`, `clock::judgement::tests`
//!     - `it::partitions`, with the partitions of a month (PostgreSQL)
//! 14. Secrets are write-only.
//!     - `it::connectors::a_secret_is_never_shown_again`, `it::connectors::debug_shows_no_key`
//!     - `it::webhook::the_webhook_secret_is_never_shown_and_its_changes_are_audited`
//!     - of the model: `debug_*`
//!     - in the browser: the canary, which plants secrets and searches everything a run leaves
//! 15. Every change is an audit event.
//!     - `it::audit::a_change_and_its_event_are_committed_together_or_not_at_all`
//!     - `it::streaming::every_change_is_an_audit_event`
//!     - `it::access::every_change_of_access_is_an_audit_event`
//!     - `it::disconnected`
//!     - `it::begins_to_fail`, when a destination begins to fail and recovers
//! 16. Nothing waits for ever (in parts; see the architecture), and no task ends silently.
//!     - `it::database_unavailable`, `it::silent_database` (PostgreSQL)
//!     - `it::supervision`
//!     - `database::search_pool::tests`
//!
//! 17. Costs do not grow with history (in parts; see the architecture).
//!     - `it::index`, `it::plans::the_search_index_is_read_by_its_keys`
//!     - `it::search`, `it::plans::searches_enter_the_trail_by_an_index_bounded_at_both_ends`
//!     - `it::batch_history`, `it::begins_to_fail::idle_destinations_are_served_without_runs`
//!
//! 18. Evidence is complete (in parts).
//!     - `it::forger`: every change of a copy is found and named; programs of Python and Go agree
//!     - of the server: `it::verify`
//!
//! Further promises:
//!
//! - Roles, scopes and sign-in: `it::access`
//! - An address in two accounts: `it::access::an_address_in_two_accounts_*`, `…::a_namesake_*`
//! - Keys are replaced while servers run: `it::keys`
//! - An installation moves to another database without loss, wherever the move is interrupted:
//!   `it::relocation`
//! - The host's identity is only for the accounts that the operator named:
//!   `it::credentials::the_host_identity_is_reserved_for_the_named_accounts`
//! - Roles are assumed with the account's external id:
//!   `it::credentials::no_account_assumes_a_role_that_trusts_another_account`
//! - The webhook is notified once, signed, and across restarts: `it::webhook`
//! - Of two changes on the same condition one succeeds: `it::preconditions`
//! - Endpoints and webhooks cannot reach metadata addresses, nor private ones if that is set:
//!   `egress_policy::tests`, `it::egress_policy`,
//!   `it::webhook::a_redirect_is_not_followed_and_metadata_addresses_are_refused`

pub mod access;
pub mod actor;
pub mod alerts;
mod aws;
mod background;
pub mod clock;
pub mod connectors;
pub mod continuity;
pub mod database;
pub mod destinations;
pub mod doctor;
mod egress_policy;
mod engine;
pub mod error;
pub mod evidence;
mod failpoint;
mod host_memory;
mod id_filters;
pub mod key_rotation;
mod marks;
pub mod metrics;
mod months;
mod paginate;
pub mod precondition;
mod readiness;
pub mod relocation;
pub mod retention;
mod scheduler_watch;
pub mod shared_budget;
pub mod streaming;
mod task;
pub mod trail;
pub mod vault;

pub use actor::Actor;
pub use alerts::Pacing;
pub use aws::{AwsSettings, Timeouts, WebIdentity};
pub use background::Background;
pub use database::Clock;
pub use egress_policy::EgressPolicy;
pub use engine::{Config, Engine};
pub use error::{Error, Result};
pub use id_filters::IdSettings;
pub use precondition::{Precondition, Version};
pub use retention::Retention;
pub use trail::Merging;
pub use vault::MasterKey;
