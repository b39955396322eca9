package agent

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"aula/clientos/agent/screen"
	"aula/clientos/protocol"
	"aula/clientos/protocol/wire"
)

// A trouble is why there is no session, for people. The zero value is none.
type trouble struct {
	phase   screen.Phase
	problem string
	advice  string
	restart bool // only the next boot can cure it
}

// troubleOf puts the end of a session, or of an attempt at one, into words.
func troubleOf(server string, err error) trouble {
	var closed *wire.CloseError
	switch {
	case errors.As(err, &closed) && closed.Code == protocol.CloseDenied:
		return trouble{phase: screen.Denied, problem: closed.Reason, advice: "This PC restarts by itself in a minute."}
	case errors.As(err, &closed) && (closed.Code == protocol.CloseDuplicate || closed.Code == protocol.CloseMalformed):
		return trouble{phase: screen.Denied, problem: closed.Reason, advice: "This PC tries again and again. The server's log tells more."}
	case errors.As(err, &closed):
		return trouble{phase: screen.Connecting, problem: closed.Reason}
	case errors.Is(err, errStranger):
		return trouble{
			phase: screen.Trouble, problem: errStranger.Error(),
			advice: fmt.Sprintf("Look which machine answers at %s. If the server was installed anew, restart this PC.", server),
		}
	case errors.Is(err, syscall.ECONNREFUSED):
		return trouble{phase: screen.Connecting, problem: fmt.Sprintf("At %s no server answers.", server), advice: "Start the server; this PC goes on by itself."}
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return trouble{phase: screen.Connecting, problem: fmt.Sprintf("There is no way to %s.", server), advice: "Check the network cable and the switch."}
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return trouble{phase: screen.Connecting, problem: fmt.Sprintf("The server %s does not answer.", server), advice: "Check the network cable, the switch and the server."}
	}
	return trouble{phase: screen.Connecting, problem: "The connection to the server was lost.", advice: "This PC connects again by itself."}
}

// show brings what people see up to date. restart is the kind of restart that is about to come, if any. The caller holds a.mu.
func (a *Agent) show(restart string) {
	a.cfg.Board.Update(func(s *screen.State) {
		*s = screen.State{
			Server: s.Server, Address: s.Address, MAC: s.MAC, Version: s.Version, Step: s.Step,
			Problem: a.trouble.problem, Advice: a.trouble.advice,
		}
		if a.welcome != nil {
			s.Computer, s.Classroom = a.welcome.Computer, a.welcome.Classroom
		}
		held, r := a.desk.held, a.desk.last
		switch {
		case restart != "":
			s.Phase, s.Kind = screen.Restarting, restart
		case held.ID != "": // stays to be seen until the next one
			a.showInstruction(s, held, r)
		case a.conn == nil && a.trouble.phase == "":
			s.Phase, s.Step = screen.Starting, "Connecting to "+s.Server
		case a.conn == nil:
			s.Phase = a.trouble.phase
		case a.welcome.State == protocol.Pending:
			s.Phase, s.Code = screen.Pending, a.id.code()
		default:
			s.Phase = screen.Ready
		}
	})
}

// target says what an instruction reads or writes.
func target(in protocol.Instruct) string {
	partition := in.Partition
	if len(in.Parts) == 1 {
		partition = in.Parts[0].Partition
	}
	switch {
	case in.Disk.Number == 0:
		return ""
	case len(in.Parts) > 1:
		return fmt.Sprintf("disk %d, %d partitions", in.Disk.Number, len(in.Parts))
	case partition == 0:
		return fmt.Sprintf("all of disk %d", in.Disk.Number)
	}
	return fmt.Sprintf("disk %d, partition %d", in.Disk.Number, partition)
}

// showInstruction shows how the last instruction stands or ended; its failure comes before any other trouble.
func (a *Agent) showInstruction(s *screen.State, in protocol.Instruct, r protocol.Report) {
	s.Kind = in.Kind
	switch {
	case len(in.Parts) > 1:
		s.Image = fmt.Sprintf("%s and %d more", in.Parts[0].Image.Name, len(in.Parts)-1)
	case len(in.Parts) == 1:
		s.Image = in.Parts[0].Image.Name
	case in.Capture != nil:
		s.Image = in.Capture.Name
	}
	s.Target = target(in)
	s.Stage, s.Bytes, s.Total, s.Rate = r.Stage, r.Bytes, r.Total, r.Rate
	switch r.State {
	case protocol.Done:
		s.Phase, s.Proven = screen.Done, r.Verified
		if isPower(in.Kind) {
			s.Phase = screen.Restarting
		}
	case protocol.Failed:
		s.Phase, s.Problem, s.Advice = screen.Failed, r.Failure.Problem, r.Failure.Advice
	case protocol.Cancelled:
		s.Phase = screen.Cancelled
	default:
		s.Phase = screen.Working
	}
}
