package webui

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"aula/appliance/boot"
	"aula/appliance/catalog"
	"aula/appliance/operation"
	"aula/clientos/disk"
	"aula/clientos/protocol"
	"aula/netboot"
)

// The console's words for what the house's constants mean, and how it writes numbers. Pages hold their own text; what more
// than one of them says is here, so that a translation finds it in one place.

// A tone is the colour of a state, always beside its icon and its word.
type tone string

const (
	toneIdle tone = "idle" // nothing to look at
	toneWork tone = "work" // busy
	toneGood tone = "good" // ended well
	toneWarn tone = "warn" // look at it some time
	toneBad  tone = "bad"  // look at it now
)

var stageWords = map[string]string{
	protocol.StagePreflight:    "Checking",
	protocol.StagePartitioning: "Partitioning",
	protocol.StageReading:      "Reading",
	protocol.StagePublishing:   "Publishing",
	protocol.StageWriting:      "Writing",
	protocol.StageVerifying:    "Verifying",
	protocol.StageFinishing:    "Finishing",
	protocol.StageWaiting:      "Waiting for the session",
	protocol.StageCaching:      "Caching",
	protocol.StageFormatting:   "Formatting",
	protocol.StageConfiguring:  "Configuring",
	protocol.StageSharing:      "Sharing",
}

// slowWords say what a stage waits for most.
var slowWords = map[string]string{
	protocol.SlowNetwork:  "slowed by the network",
	protocol.SlowDisk:     "slowed by the disk",
	protocol.SlowDecoding: "slowed by decompression",
}

var kindWords = map[string]string{
	operation.CreateImage:  "Create image",
	operation.RestoreImage: "Restore image",
	operation.Reboot:       "Restart",
	operation.BootDisk:     "Boot from disk",
	operation.PowerOff:     "Power off",

	operation.UpdateCache:   "Update cache",
	operation.DeleteCached:  "Delete cached images",
	operation.PartitionDisk: "Partition and format",
	operation.ConfigureOS:   "Configure system",
	operation.WakeUp:        "Wake up",
}

var stepLabels = map[string]string{
	netboot.StepDHCP:      "DHCP",
	netboot.StepLoader:    "Loader",
	netboot.StepScript:    "Script",
	netboot.StepKernel:    "Kernel",
	netboot.StepInitramfs: "Initramfs",
	boot.StepAgent:        "Agent",
}

// targetWords say what PCs boot, in the middle of a sentence.
var targetWords = map[string]string{
	catalog.BootClientOS: "client OS",
	catalog.BootDisk:     "own disk",
	catalog.BootMenu:     "menu",
	catalog.BootNothing:  "nothing",
}

var firmwareWords = map[netboot.Firmware]string{
	netboot.BIOS:      "BIOS",
	netboot.UEFIx64:   "UEFI",
	netboot.UEFIia32:  "UEFI, 32 bits",
	netboot.UEFIARM64: "UEFI on ARM64",
}

var modeWords = map[netboot.Mode]string{
	netboot.ModeAuto:  "Automatic: Aula leases addresses when no other server does and you agreed",
	netboot.ModeFull:  "Aula leases addresses, whatever other servers do",
	netboot.ModeProxy: "Aula never leases addresses, and only tells PCs what to boot (ProxyDHCP)",
}

// A mark is how a state is shown: colour, icon and word.
type mark struct {
	Tone tone
	Icon string
	Word string
}

// markOf is the mark of an operation's or a target's state.
func markOf(kind, state, stage string) mark {
	switch state {
	case operation.Waiting:
		return mark{toneIdle, "clock", "Waiting"}
	case operation.Running:
		word := stageWords[stage]
		if word == "" {
			word = "Running"
		}
		icon := "run"
		switch stage {
		case protocol.StageReading:
			icon = "up"
		case protocol.StageWriting, protocol.StagePartitioning, protocol.StageCaching, protocol.StageFormatting:
			icon = "down"
		case protocol.StageWaiting:
			icon = "clock"
		case protocol.StageSharing:
			icon = "torrents"
		case protocol.StageVerifying, protocol.StagePreflight:
			icon = "search"
		}
		return mark{toneWork, icon, word}
	case operation.LostContact:
		return mark{toneWarn, "unplugged", "Lost contact"}
	case operation.Done:
		if kind == operation.RestoreImage {
			return mark{toneGood, "check", "Verified"}
		}
		return mark{toneGood, "check", "Done"}
	case operation.Failed:
		return mark{toneBad, "cross", "Failed"}
	case operation.Cancelled:
		return mark{toneWarn, "stop", "Cancelled"}
	case operation.Incomplete:
		return mark{toneBad, "half", "Incomplete"}
	case operation.NeverCame:
		return mark{toneWarn, "off", "Never came"}
	}
	return mark{toneIdle, "clock", sentence(state)}
}

// markOfTarget is the mark of one PC's part: what a restore did and a point of its configuration did not is neither good nor bad.
func markOfTarget(kind string, t operation.Target) mark {
	if t.State == operation.Done && len(t.Warnings) > 0 {
		return mark{toneWarn, "warn", "Done with warnings"}
	}
	return markOf(kind, t.State, t.Stage)
}

// titleOf is an operation in a few words.
func titleOf(op operation.Operation) string {
	word := kindWords[op.Kind]
	switch op.Kind {
	case operation.UpdateCache:
		if op.Image != "" {
			return "Bring " + op.Image + " into the cache"
		}
	case operation.CreateImage:
		return word + " " + op.Image
	case operation.RestoreImage:
		if slices.ContainsFunc(op.Steps, func(s operation.Step) bool { return strings.HasPrefix(s.Statement.Word, "deploy") }) {
			return "Deploy " + op.Image
		}
		return "Restore " + op.Image
	case "":
		return "Operation"
	}
	if word == "" {
		return sentenceCase(op.Kind)
	}
	return word
}

// sentenceCase begins with a capital.
func sentenceCase(s string) string { return strings.TrimSuffix(sentence(s), ".") }

// whereOf names an operation's PCs.
func whereOf(op operation.Operation) string {
	if len(op.Targets) == 1 {
		return op.Targets[0].Name
	}
	return count(len(op.Targets), "PC", "PCs")
}

// summaryOf is an operation in one sentence, without its full stop: "7 of 8 verified; 1 failed: partition too small".
func summaryOf(op operation.Operation) string {
	if len(op.Targets) == 0 {
		return ""
	}
	by := map[string]int{}
	var why []string
	warned := 0
	for _, t := range op.Targets {
		by[t.State]++
		if t.State == operation.Done && len(t.Warnings) > 0 {
			warned++
		}
		if t.State == operation.Failed && t.Failure != nil && !contains(why, t.Failure.Problem) {
			why = append(why, t.Failure.Problem)
		}
	}
	parts := []string{fmt.Sprintf("%d of %d %s", by[operation.Done], len(op.Targets), doneWord(op.Kind))}
	if op.Kind == operation.CreateImage && by[operation.Done] == 1 && op.Revision > 0 {
		parts[0] = fmt.Sprintf("%s revision %d made", op.Image, op.Revision)
	}
	if warned > 0 {
		parts[0] += fmt.Sprintf(", %d of them with warnings", warned)
	}
	for _, state := range []string{operation.Running, operation.Waiting, operation.LostContact} {
		if n := by[state]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, state))
		}
	}
	if n := by[operation.Failed]; n > 0 {
		failed := fmt.Sprintf("%d failed", n)
		switch {
		case len(why) == 1:
			failed += ": " + why[0]
		case len(why) > 1:
			failed += fmt.Sprintf(" for %d reasons", len(why))
		}
		parts = append(parts, failed)
	}
	for _, state := range []string{operation.NeverCame, operation.Cancelled, operation.Incomplete} {
		if n := by[state]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, state))
		}
	}
	return strings.Join(parts, "; ")
}

func doneWord(kind string) string {
	switch kind {
	case operation.RestoreImage:
		return "verified"
	case operation.CreateImage:
		return "captured"
	case operation.UpdateCache:
		return "cached"
	case operation.WakeUp:
		return "awake"
	}
	return "done"
}

func contains(list []string, s string) bool {
	for _, v := range list {
		if v == s {
			return true
		}
	}
	return false
}

// sentence ends with a full stop and begins with a capital, unless with what looks like a name: pc-17, win11.
func sentence(s string) string {
	if s == "" {
		return s
	}
	word, _, _ := strings.Cut(s, " ")
	if !strings.ContainsFunc(strings.TrimRight(word, ",:;"), func(r rune) bool { return !unicode.IsLetter(r) }) {
		first, n := utf8.DecodeRuneInString(s)
		s = string(unicode.ToUpper(first)) + s[n:]
	}
	if !strings.ContainsAny(s[len(s)-1:], ".!?") {
		s += "."
	}
	return s
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// size writes bytes as disks and images are sold: powers of ten.
func size(n int64) string {
	switch {
	case n < 0:
		return "–"
	case n < 1000:
		return fmt.Sprintf("%d B", n)
	}
	v, unit := float64(n), 0
	for v >= 999.5 && unit < 5 {
		v /= 1000
		unit++
	}
	digits := 0
	if v < 9.95 {
		digits = 1
	}
	return fmt.Sprintf("%.*f %s", digits, v, []string{"B", "kB", "MB", "GB", "TB", "PB"}[unit])
}

// memory writes RAM in powers of two, as modules are sold, under the name that people use.
func memory(n int64) string {
	if n <= 0 {
		return "–"
	}
	const gib = 1 << 30
	if n < gib {
		return fmt.Sprintf("%d MB", (n+1<<19)>>20)
	}
	return fmt.Sprintf("%.0f GB", float64(n)/gib)
}

// perSecond writes a rate in byte/s.
func perSecond(rate int64) string {
	if rate <= 0 {
		return ""
	}
	return size(rate) + "/s"
}

// left writes how long the rest of a stage takes at its present rate.
func left(done, total, rate int64) string {
	if rate <= 0 || total <= done {
		return ""
	}
	d := time.Duration(float64(total-done) / float64(rate) * float64(time.Second))
	switch {
	case d < 10*time.Second:
		return "a few seconds left"
	case d < time.Minute:
		return fmt.Sprintf("%d s left", int(d.Seconds())/10*10)
	case d < time.Hour:
		return fmt.Sprintf("%d min left", int((d + 30*time.Second).Minutes()))
	}
	return fmt.Sprintf("%d h %02d min left", int(d.Hours()), int(d.Minutes())%60)
}

// percent is from 0 to 100, or -1 when it is not known. It says 100 only of all.
func percent(done, total int64) int {
	switch {
	case total <= 0:
		return -1
	case done >= total:
		return 100
	case done <= 0:
		return 0
	}
	return int(float64(done) / float64(total) * 100)
}

// took writes how long something lasted.
func took(d time.Duration) string {
	switch d = d.Round(time.Second); {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min %02d s", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d h %02d min", int(d.Hours()), int(d.Minutes())%60)
}

// ago writes roughly when something was.
func ago(t, now time.Time) string {
	if t.IsZero() {
		return "never"
	}
	switch d := now.Sub(t); {
	case d < time.Minute:
		return "just now"
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 24*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	}
	return "on " + day(t)
}

func day(t time.Time) string { return t.Local().Format("2 Jan 2006") }

// moment writes date and time of day as the machine's clock shows them.
func moment(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.Local().Format("2 Jan 2006, 15:04")
}

// timeOfDay writes the hour and minute as the machine's clock shows it.
func timeOfDay(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.Local().Format("15:04:05")
}

// firmware names what starts the PC.
func firmware(inv protocol.Inventory) string {
	switch inv.Firmware {
	case "uefi":
		if inv.SecureBoot {
			return "UEFI with Secure Boot"
		}
		return "UEFI"
	case "bios":
		return "BIOS"
	}
	return "unknown"
}

// machine names the PC by its maker.
func machine(inv protocol.Inventory) string {
	name := strings.TrimSpace(inv.Vendor + " " + inv.Product)
	if name == "" {
		name = inv.Board
	}
	if name == "" {
		return "Unknown model"
	}
	return name
}

// diskTitle names a disk: model and size.
func diskTitle(d disk.Disk) string {
	model := d.Model
	if model == "" {
		model = "Disk without a model name"
	}
	return model + ", " + size(d.Bytes)
}

// partitionTitle names a partition by what people know of it.
func partitionTitle(p disk.Partition) string {
	name := p.Filesystem
	if name == "" {
		name = "unknown filesystem"
	}
	if p.Label != "" {
		name += " “" + p.Label + "”"
	}
	return name
}
