#![expect(clippy::unwrap_used, reason = "tests")]
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;

/// A server that says its lines, one after each that it is sent, and keeps what that was. `DATA` is sent until its end.
async fn server(says: Vec<&'static str>) -> (u16, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = BufReader::new(stream);
        let mut heard = Vec::new();
        let mut in_message = false;
        for line in says {
            stream.get_mut().write_all(line.as_bytes()).await.unwrap();
            let mut said = String::new();
            loop {
                let mut line = String::new();
                if stream.read_line(&mut line).await.unwrap() == 0 {
                    return heard;
                }
                said.push_str(&line);
                if !in_message || line == ".\r\n" {
                    break;
                }
            }
            in_message = said == "DATA\r\n";
            heard.push(said);
        }
        heard
    });
    (port, heard)
}

fn smtp(port: u16, security: SmtpSecurity, login: bool) -> Smtp {
    let server = SmtpServer {
        host: "127.0.0.1".into(),
        port,
        security,
        ca_file: None,
        login: login.then(|| ("chunk".to_owned(), crate::config::SecretRef::Env("P".into()))),
    };
    // No TLS is spoken in these tests, so that no authorities are needed; the stories do.
    Smtp {
        server,
        name: "broker.example".into(),
        tls: None,
    }
}

fn password() -> Option<Zeroizing<String>> {
    Some(Zeroizing::new("hunter2".to_owned()))
}

async fn refusal(says: Vec<&'static str>, security: SmtpSecurity) -> SmtpFault {
    let (port, _heard) = server(says).await;
    smtp(port, security, true).connect(password()).await.err().unwrap()
}

#[tokio::test]
async fn a_message_is_submitted_line_by_line_and_no_line_of_it_ends_it() {
    let (port, heard) = server(vec![
        "220 hello\r\n",
        "250-mail.example\r\n250-AUTH PLAIN LOGIN\r\n250 8BITMIME\r\n",
        "235 good\r\n",
        "250 ok\r\n",
        "250 ok\r\n",
        "354 go on\r\n",
        "250 taken\r\n",
    ])
    .await;
    let mut session = smtp(port, SmtpSecurity::Plain, true).connect(password()).await.unwrap();
    session
        .submit("a@example.com", "b@example.com", "Subject: x\r\n\r\n.\r\n..\r\ntext\r\n")
        .await
        .unwrap();
    drop(session);
    assert_eq!(
        heard.await.unwrap(),
        [
            "EHLO broker.example\r\n",
            "AUTH PLAIN AGNodW5rAGh1bnRlcjI=\r\n",
            "MAIL FROM:<a@example.com>\r\n",
            "RCPT TO:<b@example.com>\r\n",
            "DATA\r\n",
            "Subject: x\r\n\r\n..\r\n...\r\ntext\r\n.\r\n",
        ]
    );
}

#[tokio::test]
async fn nothing_is_sent_without_tls_and_nothing_is_believed_that_came_before_it() {
    let no = refusal(vec!["220 hi\r\n", "250 mail.example\r\n"], SmtpSecurity::StartTls).await;
    assert!(no.why.contains("does not offer STARTTLS"), "{no:?}");
    let says = vec![
        "220 hi\r\n",
        "250-mail.example\r\n250 STARTTLS\r\n",
        "220 go\r\n250-injected\r\n250 AUTH PLAIN\r\n",
    ];
    let no = refusal(says, SmtpSecurity::StartTls).await;
    assert!(no.why.contains("before TLS"), "{no:?}");
}

#[tokio::test]
async fn of_an_answer_only_its_code_is_told_and_it_is_known_what_it_is_about() {
    let hello = "250-mail.example\r\n250 AUTH LOGIN\r\n";
    let no = refusal(
        vec![
            "220 hi\r\n",
            hello,
            "334 VXNlcm5hbWU6\r\n",
            "334 UGFzc3dvcmQ6\r\n",
            "535 wrong: hunter2\r\n",
        ],
        SmtpSecurity::Plain,
    )
    .await;
    assert_eq!(
        (no.why.as_str(), no.code, no.about),
        ("it answered 535 to AUTH", Some(535), About::Us)
    );
    assert!(no.is_permanent());
    let no = refusal(vec!["220 hi\r\n", "250 mail.example\r\n"], SmtpSecurity::Plain).await;
    assert!(no.why.contains("neither AUTH PLAIN nor AUTH LOGIN"), "{no:?}");
    for nonsense in ["HTTP/1.1 400 Bad Request\r\n", "\r\n", "999 x\r\n", "2\u{fc}0 x\r\n"] {
        let no = refusal(vec![nonsense], SmtpSecurity::Plain).await;
        assert!(no.why.contains("no SMTP") && no.code.is_none(), "{nonsense}: {no:?}");
    }
    for (answers, about, permanent) in [
        (vec!["250 ok\r\n", "550 5.1.1 no such user\r\n", "250 ok\r\n"], About::Mailbox, true),
        (vec!["250 ok\r\n", "550 5.7.1 relaying denied\r\n", "250 ok\r\n"], About::Us, true),
        (vec!["250 ok\r\n", "450 4.2.0 later\r\n", "250 ok\r\n"], About::Us, false),
        (vec!["530 5.7.0 log in\r\n", "250 ok\r\n"], About::Us, true),
        (
            vec!["250 ok\r\n", "250 ok\r\n", "354 go\r\n", "554 5.6.0 spam\r\n", "250 ok\r\n"],
            About::Message,
            true,
        ),
    ] {
        let mut says = vec!["220 hi\r\n", "250 mail.example\r\n"];
        says.extend(&answers);
        let (port, heard) = server(says).await;
        let mut session = smtp(port, SmtpSecurity::Plain, false).connect(None).await.unwrap();
        let no = session.submit("a@x.example", "b@x.example", "x\r\n").await.unwrap_err();
        assert_eq!((no.about, no.is_permanent()), (about, permanent), "{answers:?}: {no:?}");
        drop(session);
        assert_eq!(heard.await.unwrap().last().unwrap(), "RSET\r\n", "the next one begins anew");
    }
}
