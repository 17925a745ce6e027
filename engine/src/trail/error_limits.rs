//! The limits on the errors of one event: their number, and the length of their paths.

/// Errors that are named of one event, including the last one, which says if there are more.
pub(super) const EVENT_ERRORS: usize = 20;
/// Characters of a path in an error; the end of a longer one is cut off.
const PATH_CHARS: usize = 256;

/// The beginning of a path, which is as long as the keys that a client chose.
pub(super) fn shorten(mut path: String) -> String {
    if let Some((end, _)) = path.char_indices().nth(PATH_CHARS) {
        path.truncate(end);
        path.push('…');
    }
    path
}
