//! The trail, the connectors and the streaming of Auditstream: all that needs neither a browser nor an HTTP request.
//!
//! ```text
//!  ingest ──▶ trail::payload ──▶ trail::writer ──▶ audit_event (sequence 1, 2, 3 …)
//!            check, compact      group commit              │
//!                                                          ▼
//!  schedule ──▶ run ──▶ plan (freeze a batch) ──▶ encode ──▶ upload (conditional PUT) ──▶ confirm (move the cursor)
//!  ticks,       one destination                                     │
//!  leases                                                           ▼
//!                                                     bucket: account=…/dt=…/hour=…/…ndjson.gz
//! ```
//!
//! In reading order:
//!
//! - [`error`]: everything that can go wrong, with its code and HTTP status
//! - [`database`]: the database, SQLite or PostgreSQL
//! - [`vault`]: the master key, secrets at rest, and new keys for both
//! - [`actor`]: who acts, and what they may
//! - [`access`]: users, sessions, API tokens, accounts
//! - [`trail`]: audit events in and out
//! - [`connectors`]: how to reach AWS, and the connection test
//! - [`destinations`]: where to stream, and what an admin does with it
//! - [`paginate`]: search, order and pages of lists
//! - [`precondition`]: changes on condition that nobody else made one meanwhile
//! - [`egress_policy`]: where addresses that people type may lead
//! - [`retention`]: how long the trail keeps events
//! - [`metrics`]: what operators watch
//! - [`alerts`]: the webhook that is told what goes wrong
//! - [`streaming`]: the scheduler, and how a batch gets into a bucket
//! - [`failpoint`]: places at which a test can stop a process for good
//!
//! # What must always hold, and the test that proves it
//!
//! Where several servers share a database nothing rests on there being one: a run is claimed with an epoch, and whatever it
//! writes compares it. Tests of `it` without another remark run on both databases,
//! as `sqlite::…` and `postgres::…`.
//!
//! | rule | tests |
//! | --- | --- |
//! | 1 durable before acknowledged | `it::trail::the_commit_that_stores_events_waits_for_the_disk`, the server's `it::process` and `it::replicas`: what was acknowledged is there after a kill, `it::kills` (a process under load is killed at random moments), `it::crash` (at the changes of state of ingest, streaming and repair) |
//! | 2 sequence order is commit order, without gaps | `it::trail::sequences_are_dense_whoever_writes`, `it::replicas::a_reader_that_follows_the_sequence_misses_no_event_however_late_commits_are` (PostgreSQL) |
//! | 3 ingest is idempotent | `it::trail::sent_again_is_counted_not_stored`, `it::trail::the_order_of_members_makes_no_conflict_but_other_content_does`, `it::trail::an_id_that_comes_twice_in_one_request_is_stored_once_or_refuses_it`, `it::model` |
//! | 4 a request is whole or nothing | `it::trail::one_invalid_event_refuses_its_request_and_no_other`, `it::trail::requests_that_are_committed_together_do_not_fail_each_other`, `it::trail::a_hundred_invalid_events_are_named_and_all_are_counted`, `it::properties::bytes_that_are_refused_are_never_stored_and_none_bring_the_server_down` |
//! | 5 a batch is frozen before its first PUT | `it::streaming::a_mistyped_bucket_is_mended_by_editing_it`, `it::crash`, `it::properties::a_trail_of_any_sizes_is_cut_into_batches_that_keep_their_limits` |
//! | 6 content follows from the batch alone | `streaming::encode::tests::the_same_batch_gives_the_same_bytes`, `it::properties::any_batch_has_the_same_bytes_each_time`, `it::properties::another_process_at_another_time_and_place_makes_the_same_bytes` |
//! | 7 conditional and checksummed | `it::streaming::an_object_that_is_there_*`, `it::bucket::an_object_of_another_compressor_is_ours_when_its_content_is`, `it::bucket::a_blocked_batch_is_sent_under_a_new_name`, `it::bucket::a_store_that_ignores_the_condition_is_found_out_and_remembered`, `it::bucket::two_checks_of_one_prefix_at_the_same_time_do_not_disturb_each_other`, `it::faults::*` |
//! | 8 the cursor moves by compare-and-set | `it::streaming::a_cursor_moved_meanwhile_is_not_moved_again`, `it::replicas::a_server_that_was_frozen_and_wakes_up_changes_nothing`, `it::crash` |
//! | 9 leases make work cheap, never safe | `it::replicas` (PostgreSQL), and the server's `it::replicas::servers_killed_in_turn_neither_lose_nor_duplicate_events`, `it::crash`, `it::model` |
//! | 10 nothing is skipped | `it::streaming::a_destination_that_fails_keeps_its_events_and_says_so_until_it_recovers`, `it::streaming::a_run_that_a_stop_broke_off_goes_on_at_the_next_start`, `it::streaming::an_event_that_is_missing_stops_its_destination_visibly`, `it::panics::a_run_that_panics_fails_visibly_and_waits_for_its_next_time`, `it::faults::any_sequence_of_faults_is_survived`, `it::model::whatever_happens_every_event_lands_once_in_order_*` |
//! | 11 one destination never delays another | `it::fairness::*`, `it::plans::*` (PostgreSQL), `streaming::limits::tests::failing_destinations_get_at_most_half_of_the_memory` |
//! | 12 inactive means no new PUT | `it::streaming::a_paused_destination_continues_where_it_stopped`, `it::streaming::a_pause_never_waits_for_the_store_and_nothing_begins_after_it`, `it::replicas::a_pause_on_one_server_holds_for_all` |
//! | 13 retention never removes what a destination has yet to receive | `it::retention::*` |
//! | 14 secrets are write-only | `it::connectors::a_secret_is_never_shown_again`, `it::connectors::debug_shows_no_key`, the model's `debug_*`, `it::webhook::its_secret_is_never_shown_and_its_changes_are_audit_events`, and `end2end/specs/canary.spec.ts`: a run with marked secrets, searched for wherever it left anything |
//! | the host's identity is for those it was given to | `it::credentials::the_hosts_own_identity_is_for_the_accounts_that_were_named` |
//! | a role is taken on with the account's own external id | `it::credentials::no_account_takes_on_a_role_that_trusts_another_account` |
//! | a full, locked or lost database is survived and told | `it::database_unavailable::*` |
//! | the webhook is told once, signed, and kept over a restart | `it::webhook::*` |
//! | of two changes on the same condition one is made | `it::preconditions::*` |
//! | what people type leads to no metadata and, where set so, to nothing private | `egress_policy::tests`, `it::egress_policy::*`, `it::webhook::a_redirect_is_not_followed_and_metadata_addresses_are_refused` |
//! | 15 changes are audit events | `it::audit::a_change_and_its_event_are_made_together_or_not_at_all`, `it::streaming::every_change_is_an_audit_event`, `it::access::every_change_of_access_is_an_audit_event` |
//! | keys are replaced while servers run | `it::keys::*` |
//! | who may what, and who is who | `it::access::*` |

pub mod access;
pub mod actor;
pub mod alerts;
mod aws;
pub mod connectors;
pub mod database;
pub mod destinations;
mod egress_policy;
mod engine;
pub mod error;
mod failpoint;
pub mod key_rotation;
pub mod metrics;
mod paginate;
pub mod precondition;
pub mod retention;
pub mod streaming;
pub mod trail;
pub mod vault;

pub use actor::Actor;
pub use alerts::Pacing;
pub use aws::{AwsSettings, Timeouts, WebIdentity};
pub use egress_policy::EgressPolicy;
pub use engine::{Background, Config, Engine};
pub use error::{Error, Result};
pub use precondition::{Precondition, Version};
pub use retention::Retention;
pub use vault::MasterKey;
