use crate::program::run;

#[test]
fn wrong_use_exits_2_and_says_what_is_allowed() {
    let cases: [(&[&str], &str); 50] = [
        (&[], "Usage: halfopen"),
        (&["labb"], "is 'lab' meant?"),
        (&["probe", "ws://127.0.0.1/", "-c65"], "allowed are 1 to 64"),
        (&["tune"], "--detect"),
        (&["tune", "-c", "3M", "--detect", "60s:median"], "allowed are max and mean"),
        (&["tune", "-c", "3M", "--detect", "60s", "--behind", "wall"], "allowed are nginx alb"),
        (&["calibrate", "--delay=50ms..2ms"], "a range goes from the lesser to the greater"),
        (&["lab", "--server", "x"], "allowed is NAME=COMMAND"),
        (&["lab", "--server", "a b=y"], "allowed is NAME=COMMAND"),
        (&["lab", "--server", "x=y", "x=z"], "two servers are called 'x'"),
        (&["lab", "--server", "x=y", "--ping-interval=1s"], "cannot be used with"),
        (&["lab", "--server", "x=y", "--url=http://127.0.0.1/"], "use ws://"),
        (&["lab", "--server", "peer=y", "--url=pier=ws://[::1]/"], "is 'peer' meant?"),
        (&["lab", "--server", "x=y", "--server-ping=20s"], "interval/timeout"),
        (&["lab", "--server-start=1s"], "--server"),
        (&["load", "ws://127.0.0.1/", "--insecure"], "use wss://"),
        (&["load", "ws://127.0.0.1/", "-H", "A b"], "written as 'NAME: VALUE'"),
        (&["load", "ws://127.0.0.1/", "-H", "A B: c"], "letters, digits"),
        (&["load", "ws://127.0.0.1/", "-H", "A: b\nC: d"], "line break"),
        (&["load", "ws://127.0.0.1/", "-HHost: a"], "Host cannot be sent"),
        (&["load", "ws://127.0.0.1/", "-r1k/s.."], "1k/s..10k/s"),
        (&["load", "ws://127.0.0.1/", "--herd=50%@99s"], "longer --duration"),
        (&["load", "ws://127.0.0.1/", "--herd-backoff=1s"], "--herd"),
        (&["load", "ws://127.0.0.1/", "--search=connections=1..9"], "--fail-if"),
        (&["load", "ws://127.0.0.1/", "--arrivals=poisson"], "with a rate"),
        (&["load", "ws://127.0.0.1/", "--search=size=1..9"], "message-rate=1k/s..64k/s"),
        (&["load", "ws://127.0.0.1/", "--slice=5/4"], "1/4 to 4/4"),
        (&["load", "--plan=/none"], "/none cannot be read"),
        (&["load"], "<URL>"),
        (&["load", "ws://127.0.0.1/", "--size=9,"], "64*0.9"),
        (&["load", "ws://127.0.0.1/", "--window=2"], "--closed-loop"),
        (&["load", "ws://127.0.0.1/", "--closed-loop", "--expect=none"], "waits for answers"),
        (&["load", "ws://127.0.0.1/", "--reply=x"], "WHAT=ANSWER"),
        (&["load", "ws://127.0.0.1/", "--hello=@/none"], "/none cannot be read"),
        (&["load", "ws://127.0.0.1/", "--preset=socket.io"], "engine.io phoenix signalr"),
        (&["load", "http://127.0.0.1/"], "use ws://"),
        (&["load", "127.0.0.1:9001"], "ws://127.0.0.1:9001"),
        (&["load", "ws://127.0.0.1/", "--kill", "vansh=1"], "'vanish' meant?"),
        (&["load", "ws://127.0.0.1/", "--kill", "frezze=1"], "'freeze' meant?"),
        (&["load", "ws://127.0.0.1/", "-c", "5", "--kill", "fin=6"], "6 victims of 5"),
        (&["load", "ws://127.0.0.1/", "--server-pid", "999999999"], "no such process"),
        (&["load", "ws://127.0.0.1/", "--fail-if", "x > 1"], "no figure"),
        (&["serve", "--driver=kqueue"], "allowed are auto io-uring tokio-uring epoll"),
        (&["serve", "--io-uring-without=sqpoll"], "allowed are defer-taskrun coop-taskrun"),
        (&["serve", "--admin=9100"], "'127.0.0.1:9100' meant?"),
        (&["serve", "--log=verbose"], "allowed are off error warn info debug trace"),
        (&["serve", "--ping-interval=20"], "Write 20s or 20ms"),
        (&["serve", "--listen=127.0.0.1:0", "--cpu=1023"], "core 1023"),
        (&["report", "."], "report.json"),
        (&["report", ".", "--fail-if", "worse"], "--baseline"),
    ];
    for (args, words) in cases {
        let ran = run(args);
        assert_eq!(ran.status, Some(2), "{args:?}: {ran:?}");
        assert!(ran.err.contains(words), "{args:?}: {ran:?}");
        assert_eq!(ran.out, "", "{args:?}");
    }
}

#[test]
fn help_fits_80_columns() {
    for command in ["demo", "lab", "load", "probe", "serve", "report", "doctor"] {
        for flag in ["-h", "--help"] {
            let ran = run(&[command, flag]);
            assert_eq!(ran.status, Some(0));
            let widest = ran.out.lines().map(|line| line.chars().count()).max();
            assert!(widest.unwrap() <= 80, "{}", ran.out);
        }
    }
}
