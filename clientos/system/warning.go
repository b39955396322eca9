package system

import (
	"errors"
	"strings"

	"aula/clientos/disk"
	"aula/clientos/protocol"
)

// A trouble is an error that knows what its reader can do.
type trouble struct {
	problem, advice string
	detail          string // a tool's own words
	cause           error
}

func (t *trouble) Error() string {
	if t.cause != nil {
		return t.problem + ": " + t.cause.Error()
	}
	return t.problem
}

func (t *trouble) Unwrap() error { return t.cause }

// maxDetail is how much of a tool's own words a warning carries, in bytes.
const maxDetail = 4 << 10

// warn makes a warning of what went wrong at a point.
func (j *job) warn(code int, problem string, err error) {
	f := protocol.Failure{
		Code: code, Stage: protocol.StageConfiguring, Problem: problem + ": " + err.Error(),
		Advice: "start the configuration alone once more; if it fails in the same way, read the server's log",
	}
	var own *trouble
	var disks *disk.Error
	switch {
	case errors.As(err, &own):
		f.Problem, f.Advice, f.Detail = problem+": "+own.problem, own.advice, own.detail
		if f.Detail == "" && own.cause != nil {
			f.Detail = own.cause.Error()
		}
	case errors.As(err, &disks):
		f.Problem, f.Advice, f.Detail = problem+": "+disks.Problem, disks.Advice, disks.Detail
		if f.Detail == "" && disks.Err != nil {
			f.Detail = disks.Err.Error()
		}
	}
	f.Detail = strings.ToValidUTF8(f.Detail[max(0, len(f.Detail)-maxDetail):], "")
	j.log.Warn("configuring", "problem", f.Problem, "detail", f.Detail)
	j.result.Warnings = append(j.result.Warnings, f)
}
