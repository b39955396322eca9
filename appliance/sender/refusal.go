package sender

import (
	"context"
	"errors"
	"fmt"

	"aula/clientos/protocol"
	"aula/imagestore"
)

// A Refusal says why a PC is not let into a session. It wraps a *protocol.Failure.
type Refusal struct {
	failure   protocol.Failure
	temporary bool
}

// Error implements error.
func (r *Refusal) Error() string { return r.failure.Error() }

// Unwrap returns the *protocol.Failure.
func (r *Refusal) Unwrap() error { return &r.failure }

// Temporary tells whether time can cure it, so that the PC should ask again.
func (r *Refusal) Temporary() bool { return r.temporary }

// refuse makes a Refusal that is final.
func refuse(code int, problem, advice string) *Refusal {
	return &Refusal{failure: protocol.Failure{Code: code, Stage: protocol.StageWaiting, Problem: problem, Advice: advice}}
}

// later makes a Refusal that time can cure.
func later(problem, advice string) *Refusal {
	r := refuse(protocol.ErrJoin, problem, advice)
	r.temporary = true
	return r
}

// refusal says why a session cannot begin.
func refusal(err error) *Refusal {
	var r *Refusal
	if errors.As(err, &r) {
		return r
	}
	if errors.Is(err, context.Canceled) {
		return later("the server is stopping", "wait a while")
	}
	r = refuse(protocol.ErrJoin, fmt.Sprintf("the server cannot send by multicast: %v", err), "see to what it says, or choose UNICAST")
	r.failure.Detail = err.Error()
	return r
}

// unreadable says why an image cannot be sent.
func unreadable(i image, err error) *Refusal {
	r := refuse(protocol.ErrImage, fmt.Sprintf("%s cannot be read from the repository", i), "see the server's log, and test the repository's disk")
	switch {
	case errors.Is(err, imagestore.ErrNotFound), errors.Is(err, imagestore.ErrNoRepository):
		r = refuse(protocol.ErrNotFound, fmt.Sprintf("%s is not in the repository", i), "choose another image, or another revision of this one")
	case errors.Is(err, imagestore.ErrDamaged):
		r = refuse(protocol.ErrImageFile, fmt.Sprintf("%s is damaged in the repository", i),
			"restore an earlier revision of it, or import or capture it again")
	case errors.Is(err, imagestore.ErrBusy):
		r = later(fmt.Sprintf("%s is in use", i), "wait a while")
	}
	r.failure.Detail = err.Error()
	return r
}
