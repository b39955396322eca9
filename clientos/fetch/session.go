package fetch

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"aula/clientos/clone"
	"aula/clientos/protocol"
	"aula/imagestore/multicast"
)

const (
	// silence is for how long a sender that was heard four times a second may say nothing before the server is asked again: it may have restarted, or
	// have lost its cable. To ask in vain costs little: the answer is the same session, which goes on.
	silence = 7 * time.Second
	// unheard is for how long the sender of a session that was joined may not be heard at all.
	unheard = 15 * time.Second
	// lasted is after what time a session is taken for a sign of life, whether it brought bytes or made the PC wait for its turn.
	lasted = 20 * time.Second
	// slack is how much longer than its parameters say a session may take to begin: the server asks who is there, and others come late.
	slack = 5 * time.Minute
	// longest is how long a session may wait whose parameters set no end to it (imagestore/multicast takes no more from those that do).
	longest = 24 * time.Hour

	firstPause = 250 * time.Millisecond
	maxPause   = 5 * time.Second
	lookEvery  = 250 * time.Millisecond
)

// A follower follows the multicast session of an instruction to its end, through as many sessions as that takes.
type follower struct {
	cfg         Config
	instruction string
	into        *content
	tell        *teller
	waits       time.Duration // for how long the session may wait for PCs, from the first that came

	// Of watch while a session is followed, and of follow between two.
	alive   time.Time // last sign of life
	ignored time.Time // since when a sender may have been heard that does not hear this PC: nothing came, and no session began
	heard   bool      // the last sender was
}

// waitOf is for how long the multicast session of an instruction may wait for PCs.
func waitOf(in protocol.Instruct) time.Duration {
	if in.Delivery == nil || in.Delivery.Protocol != protocol.Multicast {
		return 0 // it is what a PC falls back to: the server waits for seconds
	}
	s, err := multicast.ParseSession(in.Delivery.Parameters)
	switch {
	case err != nil:
		return 0 // the server takes no such session
	case s.Wait == 0 && s.Computers > 0:
		return longest
	}
	return s.Wait
}

// follow returns when the content is complete. What came by then is in its destinations, also when it fails.
func (f *follower) follow(ctx context.Context) error {
	f.alive = time.Now()
	f.ignored = f.alive
	f.tell.wait(true)
	defer f.tell.wait(false)
	pause := time.Duration(0)
	for {
		before := f.tell.bytes()
		err := f.receive(ctx)
		var final *protocol.Failure
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case f.into.failed() != nil:
			return f.into.failed()
		case errors.As(err, &final):
			return err
		case time.Since(f.alive) > patience && f.heard:
			return failure(protocol.ErrMulticast, "the server's multicast is heard here, but the server does not hear this computer",
				"let the UDP port one above that of the session (9001 usually) into the server through its firewall, or use UNICAST or TORRENT; "+
					"what has come is kept", err)
		case time.Since(f.alive) > patience:
			return failure(protocol.ErrMulticast, fmt.Sprintf("multicast has brought nothing for %s", patience),
				"check the switch (IGMP snooping needs a querier) and this computer's cable, or use UNICAST or TORRENT; what has come is kept", err)
		}
		if f.tell.bytes() > before {
			pause = 0
		}
		pause = min(max(2*pause, firstPause), maxPause)
		f.cfg.Log.Warn("the multicast session broke off, joining again", "bytes", f.tell.bytes(), "error", err)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause/2 + rand.N(pause/2)): // a whole room must not return at once
		}
	}
}

// join asks the server for the session, for as long as it takes.
func (f *follower) join(ctx context.Context) (s protocol.Session, err error) {
	err = clone.Retry(ctx, f.cfg.Log, "joining the multicast session", func() (err error) {
		s, err = f.cfg.Server.Join(ctx, f.instruction)
		return err
	})
	var final *protocol.Failure
	if err != nil && ctx.Err() == nil && !errors.As(err, &final) {
		err = failure(protocol.ErrJoin, "the server lets nobody join the multicast session",
			"check that the server runs and that the network cable is in, then try again; what has come is kept", err)
	}
	return s, err
}

// receive takes part in one session. Its error is a *protocol.Failure when joining was refused for good.
func (f *follower) receive(ctx context.Context) error {
	s, err := f.join(ctx)
	if err != nil {
		return err
	}
	cfg, err := f.receiver(s)
	if err != nil {
		return failure(protocol.ErrJoin, err.Error(), "this is a mistake in Aula: report it", nil)
	}
	r, err := multicast.NewReceiver(cfg)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		f.watch(ctx, r, cancel)
	}()
	err = r.Run(ctx)
	if cause := context.Cause(ctx); cause != nil && err != nil {
		err = cause
	}
	cancel(nil)
	<-watched
	return err
}

// receiver is how a session is received.
func (f *follower) receiver(s protocol.Session) (multicast.ReceiverConfig, error) {
	cfg := multicast.ReceiverConfig{
		Port: s.Port, Group: netip.AddrFrom4([4]byte{255, 255, 255, 255}), Sink: f.into, Name: f.cfg.Name, Interface: f.cfg.Interface,
		ReceiveTimeout: silence, Log: f.cfg.Log,
	}
	if len(s.Key) != len(cfg.Key) {
		return cfg, fmt.Errorf("the server gave a key of %d bytes for the multicast session, and keys have %d", len(s.Key), len(cfg.Key))
	}
	cfg.Key = multicast.Key(s.Key)
	var err error
	if s.Group != "" {
		if cfg.Group, err = netip.ParseAddr(s.Group); err != nil {
			return cfg, fmt.Errorf("the server gave %.40q as the group of the multicast session", s.Group)
		}
	}
	if s.Server != "" {
		if cfg.Server, err = netip.ParseAddr(s.Server); err != nil {
			return cfg, fmt.Errorf("the server gave %.40q as the address of the multicast sender", s.Server)
		}
	}
	return cfg, nil
}

// watch looks at a session until ctx ends: whether it has begun, and whether anybody sends it at all.
func (f *follower) watch(ctx context.Context, r *multicast.Receiver, end context.CancelCauseFunc) {
	ticks := time.NewTicker(lookEvery)
	defer ticks.Stop()
	began, bytes := time.Now(), f.tell.bytes()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
		status, now := r.Status(), time.Now()
		heard := status.Sender.IsValid()
		f.heard = heard
		is := f.tell.bytes()
		if status.Started {
			f.tell.wait(false)
		}
		if status.Started || status.Alone || is > bytes { // alone: others are served first, which may take long
			f.ignored = now
		}
		if is > bytes || heard && now.Sub(began) > lasted && now.Sub(f.ignored) <= f.waits+slack {
			bytes, f.alive = is, now
		}
		if now.Sub(f.alive) > patience {
			end(fmt.Errorf("a session brought nothing and did not begin for %s", patience))
			return
		}
		if !heard && now.Sub(began) > unheard {
			end(fmt.Errorf("%w was heard for %s", multicast.ErrNoSender, unheard))
			return
		}
	}
}
