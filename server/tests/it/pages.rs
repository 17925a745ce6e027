//! Rendering while other servers of the same process start.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use auditstream_server::cli::serve;

use crate::app::App;

/// Leptos lists the routes under a static flag that stops resources from loading; the tests of this
/// binary start servers while others render.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_renders_while_other_servers_of_the_process_start() {
    let app = App::start().await;
    let (engine, address) = (app.engine.clone(), app.address.clone());
    let done = Arc::new(AtomicBool::new(false));
    let starting = tokio::task::spawn_blocking({
        let done = Arc::clone(&done);
        move || {
            while !done.load(Ordering::Relaxed) {
                drop(serve::state(engine.clone(), &address));
            }
        }
    });
    let mut rendered = 0;
    while rendered < 50 {
        let request = app.get("/setup").timeout(Duration::from_secs(5)).send();
        if !request.await.is_ok_and(|response| response.status() == 200) {
            break;
        }
        rendered += 1;
    }
    done.store(true, Ordering::Relaxed);
    starting.await.unwrap();
    assert_eq!(rendered, 50);
}
