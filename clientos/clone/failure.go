package clone

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"golang.org/x/sys/unix"

	"aula/clientos/disk"
	"aula/clientos/protocol"
	"aula/imagestore/format"
)

// A refusal is a *protocol.Failure in the making, which keeps its cause for errors.Is.
type refusal struct {
	protocol.Failure
	cause error
}

func (r *refusal) Error() string { return r.Failure.Error() }

func (r *refusal) Unwrap() error { return r.cause }

func failure(code int, problem, advice string) *refusal {
	return &refusal{Failure: protocol.Failure{Code: code, Problem: problem, Advice: advice}}
}

func (r *refusal) because(err error) *refusal {
	r.cause = err
	return r
}

func (r *refusal) words(detail string) *refusal {
	r.Detail = detail
	return r
}

// Explain turns an error of this package, met in a stage, into a Failure with every field that its reader needs. What is one already stays as it is.
func Explain(err error, stage string) *protocol.Failure { return explain(err, stage) }

// An explained error is a Failure for people, and keeps its cause for those who would try another way.
type explained struct {
	*protocol.Failure
	cause error
}

// Unwrap gives both.
func (e explained) Unwrap() []error { return []error{e.Failure, e.cause} }

// explain turns whatever went wrong in a stage into a Failure with every field that its reader needs.
func explain(err error, stage string) *protocol.Failure {
	f := classify(err)
	if f.Stage == "" {
		f.Stage = stage
	}
	if f.Code == 0 {
		f.Code = protocol.ErrGeneric
	}
	if f.Problem == "" {
		f.Problem = err.Error()
	}
	if f.Advice == "" {
		f.Advice = "try again; if it fails in the same way, read the server's log"
	}
	if len(f.Detail) > maxDetail {
		f.Detail = f.Detail[len(f.Detail)-maxDetail:]
	}
	return &f
}

// maxDetail is how much of a tool's own words a Failure carries, in bytes.
const maxDetail = 4 << 10

func classify(err error) protocol.Failure {
	var own *refusal
	var servers *protocol.Failure
	var disks *disk.Error
	switch {
	case errors.As(err, &own):
		f := own.Failure
		if own.cause != nil && f.Detail == "" && !strings.Contains(f.Problem, own.cause.Error()) {
			f.Detail = own.cause.Error()
		}
		return f
	case errors.As(err, &servers):
		return *servers
	case errors.As(err, &disks):
		return ofDisk(disks)
	case errors.Is(err, format.ErrCorrupt), errors.Is(err, format.ErrNotImage):
		return protocol.Failure{
			Code:    protocol.ErrImageFile,
			Problem: fmt.Sprintf("the image cannot be restored: %v", err),
			Advice:  "check the image in the repository and restore an earlier revision of it",
		}
	case errors.Is(err, format.ErrUnsupported):
		return protocol.Failure{
			Code:    protocol.ErrImageFile,
			Problem: fmt.Sprintf("this version cannot restore the image: %v", err),
			Advice:  "update Aula, or create the image again",
		}
	case errors.Is(err, unix.EIO), errors.Is(err, fs.ErrPermission):
		return protocol.Failure{
			Code:    protocol.ErrPartition,
			Problem: err.Error(),
			Advice:  "the disk is failing or write-protected: check its cable and its SMART state",
		}
	}
	return protocol.Failure{Problem: err.Error()}
}

func ofDisk(e *disk.Error) protocol.Failure {
	codes := map[disk.Kind]int{
		disk.Tool:     protocol.ErrGeneric,
		disk.Missing:  protocol.ErrNotFound,
		disk.Differs:  protocol.ErrNotFound,
		disk.InUse:    protocol.ErrLocked,
		disk.TooSmall: protocol.ErrSize,
		disk.BadTable: protocol.ErrPartition,
		disk.Access:   protocol.ErrPartition,
	}
	f := protocol.Failure{Code: codes[e.Kind], Problem: e.Problem, Advice: e.Advice, Detail: e.Detail}
	if f.Detail == "" && e.Err != nil {
		f.Detail = e.Err.Error()
		var inner *disk.Error
		if errors.As(e.Err, &inner) && inner.Detail != "" {
			f.Detail = inner.Detail
		}
	}
	return f
}
