//! An object of another writer under one of our keys: any bytes can be read, up to the limit,
//! and our compression survives a round trip.
#![no_main]

use auditstream_engine::streaming::encode::{compress, decompress};
use auditstream_model::Compression;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    for compression in Compression::ALL {
        if let Ok(content) = decompress(body, compression) {
            assert!(content.len() <= 32 << 20);
        }
        let ours = compress(body, compression, None).expect("there is memory");
        assert_eq!(decompress(&ours, compression).expect("it is ours"), body);
    }
});
