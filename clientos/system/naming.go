package system

import (
	"context"
	"errors"
	"fmt"

	"aula/clientos/disk"
	"aula/clientos/protocol"
)

// errNoSystem says that a partition holds no operating system that can be named.
var errNoSystem = errors.New("no operating system that can be given a name")

// name gives the systems on the partitions the name of the PC.
func (j *job) name(ctx context.Context) {
	name, err := hostname(j.in.Configuration.Hostname)
	if err != nil {
		j.warn(protocol.ErrFormat, "the computer's name was not set", err)
		return
	}
	if name != j.in.Configuration.Hostname {
		j.note("%q is no name that a computer can have: it is called %s", j.in.Configuration.Hostname, name)
	}
	named, failed := false, false
	for _, p := range j.targets {
		if ctx.Err() != nil {
			return
		}
		err := j.namePartition(ctx, p, name)
		switch {
		case err == nil:
			named = true
		case ctx.Err() != nil:
			return
		case !errors.Is(err, errNoSystem):
			failed = true
			j.warn(protocol.ErrGeneric, fmt.Sprintf("the name of the computer was not set on partition %d", p.Number), err)
		}
	}
	if !named && !failed {
		j.note("the computer's name was not set: the restored partitions hold neither a Linux nor a Windows")
	}
}

func (j *job) namePartition(ctx context.Context, p disk.Partition, name string) error {
	switch {
	case p.Filesystem == ntfs:
		j.doing("giving the Windows of partition %d its name", p.Number)
		return j.nameWindows(ctx, p, name)
	case linuxFilesystem(p):
		j.doing("giving the Linux of partition %d its name", p.Number)
		return j.nameLinux(ctx, p, name)
	}
	return errNoSystem
}
