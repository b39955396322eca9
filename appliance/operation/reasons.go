package operation

import (
	"cmp"
	"fmt"
	"time"

	"aula/clientos/protocol"
)

// The reasons for which a part ends otherwise than Done, in the words that the technician reads.

// during says what the PC was doing.
func (p part) during() string {
	switch p.Stage {
	case protocol.StagePreflight:
		return "during its checks"
	case protocol.StagePartitioning:
		return "while it was partitioning"
	case protocol.StageReading:
		return "in the middle of reading"
	case protocol.StagePublishing:
		return "while the image was being published"
	case protocol.StageWriting:
		return "in the middle of writing"
	case protocol.StageVerifying:
		return "before all of the disk was verified"
	case protocol.StageFinishing, protocol.StageConfiguring, protocol.StageSharing:
		return "just before the end"
	case protocol.StageWaiting:
		return "while it waited for the session"
	case protocol.StageCaching:
		return "while the image came into its cache"
	case protocol.StageFormatting:
		return "while it was formatting"
	}
	return "before it began"
}

// aftermath says what is on the disk now, as far as is known.
func (p part) aftermath() string {
	switch {
	case p.Instruct.Kind == CreateImage:
		return "no image was made, earlier ones are as they were"
	case p.Instruct.Kind == UpdateCache:
		return "what has come of the image is in its cache, and is gone on with"
	case !p.Instruct.Writes():
		return "nothing was written to its disk"
	case !p.Dirty:
		return "it had written nothing to its disk when it was last heard"
	case p.Stage == protocol.StageVerifying, p.Stage == protocol.StageFinishing:
		return p.places("is", "are") + " written and not verified"
	case p.Stage == protocol.StagePartitioning, p.Stage == protocol.StageFormatting:
		return "its disk may have no partitions, or none with a filesystem"
	case p.Instruct.Kind == ConfigureOS, p.Stage == protocol.StageConfiguring:
		return "its system is restored, and may not have its name yet"
	default:
		return p.places("holds", "hold") + " half an image"
	}
}

// places names what a restore writes to, with the verb that goes with it.
func (p part) places(one, several string) string {
	switch parts := p.Instruct.Parts; {
	case len(parts) > 1:
		return "its partitions " + several
	case len(parts) == 1 && parts[0].Partition == 0:
		return "its disk " + one
	}
	return "its partition " + one
}

func (p part) again() string {
	switch p.Instruct.Kind {
	case CreateImage:
		return "run the capture again"
	case RestoreImage:
		return "run the restore again"
	}
	return "run it again"
}

func (p part) failure(code int, problem, advice string) *protocol.Failure {
	return &protocol.Failure{Code: code, Stage: p.Stage, Problem: problem, Advice: advice}
}

// restartedPC: power cut, crash or reset button.
func (p part) restartedPC() *protocol.Failure {
	if p.mayHaveWritten() && !p.Dirty { // what it did after its last word is not known
		return p.failure(protocol.ErrImage, fmt.Sprintf("the PC restarted: %s, %s", p.aftermath(), p.during()),
			p.again()+"; until that is done, do not rely on what is on its disk")
	}
	return p.failure(protocol.ErrImage, fmt.Sprintf("the PC restarted %s: %s", p.during(), p.aftermath()), p.again())
}

// lost: the PC did not come back.
func (p part) lost(after time.Duration) *protocol.Failure {
	if p.memory.Send != sent {
		return p.failure(protocol.ErrGeneric, fmt.Sprintf("the instruction could not be sent to the PC for %s: nothing was done", minutes(after)),
			"see that it is switched on and has booted from the network, then try again")
	}
	aftermath := p.aftermath()
	if !p.memory.Taken {
		aftermath = "whether it had begun is not known"
	}
	return p.failure(protocol.ErrImage, fmt.Sprintf("the PC fell silent %s and did not come back within %s: %s", p.during(), minutes(after), aftermath),
		"look at its screen, its power and its network cable, then "+p.again())
}

// neverCame: the PC was waited for, and was not there.
func (p part) neverCame(why string) *protocol.Failure {
	if p.Step > 0 {
		return p.failure(protocol.ErrGeneric, fmt.Sprintf("%s: it had done %d of %d instructions", why, p.Step, len(p.kinds)),
			"see that it boots from the network, then retry it")
	}
	return p.failure(protocol.ErrGeneric, why+": nothing was done to it", "switch it on, see that it boots from the network, then retry it")
}

func (p part) notTaken() *protocol.Failure {
	return p.failure(protocol.ErrGeneric, fmt.Sprintf("the PC was sent the instruction %d times and did not begin", p.memory.Tries),
		"restart the PC, then try again")
}

func (p part) notObeyed() *protocol.Failure {
	return p.failure(protocol.ErrGeneric, "the PC was sent the instruction and is still there", "use its power button")
}

func (p part) notVerified() *protocol.Failure {
	return p.failure(protocol.ErrImage,
		fmt.Sprintf("verified %d of %d bytes: the disk is not proved to hold the image", p.Verified, p.toVerify()),
		p.again()+"; if it fails again on this PC only, replace its disk")
}

func (p part) unconfirmed() *protocol.Failure {
	return p.failure(protocol.ErrGeneric,
		fmt.Sprintf("the PC was gone before it confirmed the end; revision %d of the image is published and whole", p.memory.Published),
		"use the image, or capture it again to be sure of what it was taken from")
}

// cancelledLate explains a cancelled capture that is an image all the same.
func (p part) cancelledLate() *protocol.Failure {
	if p.memory.Published == 0 {
		return nil
	}
	return p.failure(protocol.ErrGeneric,
		fmt.Sprintf("it was cancelled too late: revision %d of the image is published and whole", p.memory.Published),
		"remove the image if it is not wanted")
}

func (p part) serverRestarted() *protocol.Failure {
	return p.failure(protocol.ErrRepository, "the server restarted before it could record that the image was published",
		"look for the image in the list; if this capture is not there, run it again")
}

func (p part) neverPublished(after time.Duration) *protocol.Failure {
	return p.failure(protocol.ErrNotWrite, fmt.Sprintf("the PC has sent the image and the server did not record within %s that it was published", minutes(after)),
		"look at the server's log and its repository disk, and for the image in the list; if this capture is not there, run it again")
}

// completed is what the PC or the repository said, with what it left out.
func (p part) completed(said *protocol.Failure) *protocol.Failure {
	f := protocol.Failure{}
	if said != nil {
		f = *said
	}
	f.Code = cmp.Or(f.Code, protocol.ErrGeneric)
	f.Stage = cmp.Or(f.Stage, p.Stage)
	f.Problem = cmp.Or(f.Problem, "the PC gave up and did not say why")
	f.Advice = cmp.Or(f.Advice, "look at the PC's screen, then try again")
	return &f
}

// unreadable is a target whose standing the record does not tell.
func (p part) unreadable(err error) *protocol.Failure {
	f := p.failure(protocol.ErrGeneric, "the server's record of this PC's part was damaged: how it ended is not known", "look at the PC, then try again")
	f.Detail = err.Error()
	return f
}

// minutes writes a time as people say it.
func minutes(d time.Duration) string {
	if d == time.Minute {
		return "1 minute"
	}
	if d%time.Minute == 0 {
		return fmt.Sprintf("%d minutes", d/time.Minute)
	}
	return d.String()
}
