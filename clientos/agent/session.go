package agent

import (
	"context"
	"errors"
	"time"

	"aula/clientos/protocol"
	"aula/clientos/protocol/wire"
)

// deniedPause is how long a PC that the server refuses shows why, before it restarts to get a new ticket.
const deniedPause = time.Minute

// closeNormal is how the agent ends a session (RFC 6455 section 7.4.1).
const closeNormal = 1000

// keepSession keeps one session open until ctx ends. It returns true when the PC should restart, because the server refuses it and
// only the next boot can change that.
func (a *Agent) keepSession(ctx context.Context) (restart bool) {
	pauses := backoff{random: a.random}
	for {
		welcomed, err := a.session(ctx)
		if ctx.Err() != nil {
			return false
		}
		if welcomed {
			pauses.reset()
		}
		a.cfg.Log.Info("no session", "server", a.cfg.Server, "reason", err)
		denied := a.lost(err)
		pause := pauses.pause()
		if denied {
			pause = deniedPause
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(pause):
		}
		a.mu.Lock()
		busy := a.desk.busy()
		a.mu.Unlock()
		if denied && !busy {
			return true
		}
	}
}

// session is one connection, from dialling to its end. welcomed tells whether the server let this PC in.
func (a *Agent) session(ctx context.Context) (welcomed bool, err error) {
	conn, err := a.dial(ctx)
	if err != nil {
		return false, err
	}
	defer conn.Close(closeNormal, "")
	if err := conn.Send(protocol.Message{Hello: a.hello()}); err != nil {
		return false, err
	}
	defer func() {
		a.mu.Lock()
		a.conn = nil
		a.mu.Unlock()
	}()
	for {
		m, err := conn.Receive(ctx)
		if err != nil {
			return welcomed, err
		}
		if m.Welcome == nil && !welcomed {
			return false, errors.New("the server did not begin with welcome")
		}
		welcomed = true
		a.take(ctx, conn, m)
	}
}

// hello opens a session.
func (a *Agent) hello() *protocol.Hello {
	a.mu.Lock()
	defer a.mu.Unlock()
	return &protocol.Hello{
		Version: a.cfg.Version, Boot: a.boot, Ticket: a.cfg.Ticket, MAC: a.cfg.MAC,
		Inventory: a.inventory, Running: a.desk.running(),
	}
}

// take acts on one message of the server. Work that it starts outlives the session, up to the end of ctx.
func (a *Agent) take(ctx context.Context, conn link, m protocol.Message) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	switch {
	case m.Welcome != nil:
		a.conn, a.welcome = conn, m.Welcome
		a.cfg.Ticket = "" // burnt
		a.trouble = trouble{}
		if a.cfg.SetClock != nil {
			a.cfg.SetClock(m.Welcome.Time)
		}
	case m.Instruct != nil:
		d := a.desk.instruct(*m.Instruct, now)
		a.cfg.Log.Info("instruction", "id", m.Instruct.ID, "kind", m.Instruct.Kind, "begin", d.begin)
		a.say(d.report)
		if d.begin {
			a.begin(ctx, *m.Instruct)
		}
	case m.Cancel != nil:
		a.cfg.Log.Info("cancel", "id", m.Cancel.ID)
		stop, report := a.desk.cancel(m.Cancel.ID, now)
		a.say(report)
		if stop {
			a.stopWork(errCancelled)
		}
	case m.Settled != nil:
		a.desk.settled(m.Settled.ID)
	}
	a.show("")
}

// lost notes why there is no session, for people, and tells whether the server refuses this PC for good.
func (a *Agent) lost(err error) (denied bool) {
	var closed *wire.CloseError
	errors.As(err, &closed)
	denied = closed != nil && closed.Code == protocol.CloseDenied
	a.mu.Lock()
	defer a.mu.Unlock()
	a.trouble = troubleOf(a.cfg.Server, err)
	a.show("")
	return denied
}
