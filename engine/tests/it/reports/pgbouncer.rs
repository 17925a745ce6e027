//! A pooler in front of PostgreSQL.

use auditstream_engine::database::{Database, DatabaseUrl, Limits, PostgresUrl};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Refuses a parameter of the start-up message as PgBouncer does, after a request for TLS.
async fn refuse(mut client: TcpStream) -> std::io::Result<()> {
    const WANTS_TLS: i32 = 80_877_103;
    loop {
        let length = usize::try_from(client.read_i32().await?).unwrap();
        let code = client.read_i32().await?;
        let mut rest = vec![0; length - 8];
        client.read_exact(&mut rest).await?;
        if code == WANTS_TLS {
            client.write_all(b"N").await?;
            continue;
        }
        let fields = "SFATAL\0VFATAL\0C08P01\0Munsupported startup parameter: extra_float_digits\0\0";
        client.write_u8(b'E').await?;
        client.write_i32(i32::try_from(fields.len() + 4).unwrap()).await?;
        return client.write_all(fields.as_bytes()).await;
    }
}

#[tokio::test]
async fn pgbouncer_startup() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(refuse(client));
        }
    });
    let url = PostgresUrl::parse(&format!("postgres://audit@{address}/audit")).unwrap();
    let refused = Database::open(&DatabaseUrl::Postgres(url), &Limits::default()).await;
    let refused = refused.unwrap_err().to_string();
    for part in [
        "PgBouncer",
        "ignore_startup_parameters = extra_float_digits",
        "docs/operations.md",
    ] {
        assert!(refused.contains(part), "{refused}");
    }
}
