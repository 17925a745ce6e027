//! Parts that more than one page is made of. Each owns its markup and a CSS class of the same name.

pub mod bucket_access;
pub mod copy_button;
pub mod dialog;
pub mod field;
pub mod focus;
pub mod form_errors;
pub mod format;
pub mod icon;
pub mod menu;
pub mod page_head;
pub mod problem;
pub mod session_ended;
pub mod skeleton;
pub mod staleness;
pub mod tags;
pub mod test_result;
pub mod test_run;
pub mod time;
pub mod unsaved;

pub use bucket_access::BucketAccess;
pub use copy_button::CopyButton;
pub use dialog::{ConfirmDialog, Dialog, FormDialog};
pub use field::{CheckField, Field, SelectField, TextField};
pub use form_errors::Wrong;
pub use icon::{Icon, Shape};
pub use menu::{Menu, MenuItem};
pub use page_head::PageHead;
pub use problem::ProblemBox;
pub use session_ended::{SessionDialog, SessionEnded};
pub use skeleton::TableSkeleton;
pub use staleness::{Stale, StaleBox};
pub use tags::{TagsField, TagsInput};
pub use test_result::TestResult;
pub use test_run::TestRun;
pub use time::TimeAgo;
pub use unsaved::Unsaved;
