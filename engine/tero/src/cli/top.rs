//! `tero top`: a running edge at a glance, in a terminal.

mod screen;
mod state;

use std::io::{self, IsTerminal as _};
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use clap::Args;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};

use super::admin_client::{AdminArgs, AdminClient};
use super::{fail, used_wrongly};
use state::{TopNews, TopState};
use tero_admin_api::LiveQuestion;
use tero_admin_api::endpoints::Origins;

const EXAMPLE: &str = "\
Examples:
  tero top
  tero top --site shop
  tero top --admin https://edge.internal:9090 --token-file token

Keys: q quits, up and down choose a site, p pauses.

Exit code: 0 after q, 1 if the edge can't be reached, 2 if the command is used
wrongly or there is no terminal.";

/// Requests per second that are shown as they come.
const REQUESTS_PER_SECOND: u32 = 8;
/// How often origins are asked for.
const ORIGINS_EVERY: Duration = Duration::from_secs(3);
/// The rest before an edge that has gone is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How long a key is waited for before what has come is drawn.
const KEY_WAIT: Duration = Duration::from_millis(200);

/// Shows requests, hit rates, latencies and origins of a running edge, live
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct TopCommand {
    /// The site to begin with; all without it
    #[arg(long, value_name = "NAME")]
    site: Option<String>,
    #[command(flatten)]
    admin: AdminArgs,
}

impl TopCommand {
    pub(super) fn run(self) -> ExitCode {
        if !io::stdout().is_terminal() {
            return used_wrongly(
                "`tero top` needs a terminal; `tero stats` and `tero tail` do not",
            );
        }
        // An interface that can't be used is told of before the screen is taken.
        let asked = self.admin.ask::<Origins>(&[], &());
        let (news, channel) = channel();
        match asked {
            Ok(origins) => drop(news.send(TopNews::Origins(origins.origins))),
            Err(code) => return code,
        }
        if let Err(message) =
            listen(&self.admin, &news).and_then(|()| watch_origins(&self.admin, news))
        {
            return used_wrongly(&message);
        }
        let state = TopState::new(self.admin.url().to_owned(), self.site);
        let mut terminal = ratatui::init();
        let shown = show(&mut terminal, state, &channel);
        ratatui::restore();
        match shown {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&format!("can't draw: {error}")),
        }
    }
}

/// Listens on a thread of its own, as long as the news are taken.
fn listen(arguments: &AdminArgs, news: &Sender<TopNews>) -> Result<(), String> {
    let client = AdminClient::new(arguments)?;
    let news = news.clone();
    std::thread::spawn(move || {
        let question = LiveQuestion {
            requests: Some(REQUESTS_PER_SECOND),
            ..LiveQuestion::default()
        };
        loop {
            let ended = client.listen(&question, |event| match news.send(TopNews::Event(event)) {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            });
            let trouble = match ended {
                Ok(()) => "the edge has ended the stream".to_owned(),
                Err(message) => message,
            };
            if news.send(TopNews::Trouble(trouble)).is_err() {
                return;
            }
            rest(RETRY_AFTER);
        }
    });
    Ok(())
}

/// Asks for the origins from time to time, on a thread of its own.
fn watch_origins(arguments: &AdminArgs, news: Sender<TopNews>) -> Result<(), String> {
    let client = AdminClient::new(arguments)?;
    std::thread::spawn(move || {
        loop {
            rest(ORIGINS_EVERY);
            // An edge that can't be reached is told of by the stream.
            if let Ok(answer) = client.call::<Origins>(&[], &())
                && news.send(TopNews::Origins(answer.origins)).is_err()
            {
                return;
            }
        }
    });
    Ok(())
}

#[allow(clippy::disallowed_methods)] // A command waits in real time.
fn rest(time: Duration) {
    std::thread::sleep(time);
}

/// Draws until a key ends it.
fn show(
    terminal: &mut DefaultTerminal,
    mut state: TopState,
    news: &Receiver<TopNews>,
) -> io::Result<()> {
    loop {
        news.try_iter().for_each(|news| state.take(news));
        terminal.draw(|frame| screen::draw(frame, &state))?;
        if !event::poll(KEY_WAIT)? {
            continue;
        }
        let Event::Key(key) = event::read()? else {
            continue;
        };
        if key.kind != KeyEventKind::Press {
            continue;
        }
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return Ok(()),
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return Ok(()),
            KeyCode::Char('p') => state.pause(),
            KeyCode::Up | KeyCode::Char('k') => state.choose(false),
            KeyCode::Down | KeyCode::Char('j') => state.choose(true),
            _ => {}
        }
    }
}
