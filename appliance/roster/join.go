package roster

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"aula/clientos/protocol"
)

// serveJoin lets a PC into the multicast session of its instruction.
func (r *Roster) serveJoin(w http.ResponseWriter, req *http.Request) {
	c, ok := r.member(w, req)
	if !ok {
		return
	}
	id := req.PathValue("instruction")
	in, ok := r.cfg.Work.Entitled(c.ID, id)
	if !ok {
		r.cfg.Log.Warn("session refused", "computer", c.ID, "instruction", id)
		fail(w, http.StatusForbidden, protocol.Failure{
			Code:    protocol.ErrJoin,
			Problem: fmt.Sprintf("this PC has no instruction %s", id),
			Advice:  "start the operation again from the console",
		})
		return
	}
	if d := in.Delivery; d == nil || d.Protocol != protocol.Multicast && d.Fallback != protocol.Multicast || r.cfg.Sessions == nil {
		fail(w, http.StatusConflict, protocol.Failure{
			Code:    protocol.ErrJoin,
			Problem: fmt.Sprintf("the images of instruction %s do not come by %s", id, protocol.Multicast),
			Advice:  "start the operation again from the console",
		})
		return
	}
	session, err := r.cfg.Sessions.Join(req.Context(), c.ID, c.Name, in)
	if err != nil {
		r.refuseJoin(w, c.ID, id, err)
		return
	}
	body, err := json.Marshal(session)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store") // it has the session's key
	_, _ = w.Write(body)                        // a PC that is gone asks again
}

// refuseJoin says why a PC is not let in.
func (r *Roster) refuseJoin(w http.ResponseWriter, computerID, instruction string, err error) {
	r.cfg.Log.Warn("a PC cannot join its session", "computer", computerID, "instruction", instruction, "error", err)
	var f *protocol.Failure
	if !errors.As(err, &f) {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	status := http.StatusConflict
	var later interface{ Temporary() bool }
	if errors.As(err, &later) && later.Temporary() {
		status = http.StatusServiceUnavailable
	}
	fail(w, status, *f)
}
