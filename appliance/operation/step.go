package operation

import (
	"errors"
	"fmt"
	"slices"

	"aula/appliance/catalog"
	"aula/clientos/instruction"
	"aula/clientos/protocol"
	"aula/imagestore"
)

// A Step is one statement of an operation's program, with the images that it meant when it was planned.
type Step struct {
	Kind       string                `json:"kind"`
	Statement  instruction.Statement `json:"statement,omitzero"`
	Repository string                `json:"repository,omitempty"`
	Image      string                `json:"image,omitempty"`
	Revision   int                   `json:"revision,omitempty"` // 0 of a set
	Parts      []protocol.Part       `json:"parts,omitempty"`    // of RestoreImage and UpdateCache
	Layout     bool                  `json:"layout,omitempty"`   // that beside the images is applied to the disk first
	Whole      bool                  `json:"whole,omitempty"`
	// Partitions, of ConfigureOS, are those that were restored, when that is told otherwise than by the statement.
	Partitions []int `json:"partitions,omitempty"`
	Assumed    bool  `json:"assumed,omitempty"` // the parameters of the delivery, which the program did not tell
}

// A stepPlan is a step that is ready to be put to PCs.
type stepPlan interface {
	// check is the pre-flight of one PC, and the instruction that it gets unless that fails.
	check(pc catalog.Computer, online bool) (Preflight, protocol.Instruct)
}

// kinds are the kinds of the statements.
var kinds = map[string]string{
	instruction.CreateImage: CreateImage, instruction.CreateDiskImage: CreateImage,
	instruction.RestoreImage: RestoreImage, instruction.RestoreDiskImage: RestoreImage,
	instruction.DeployImage: RestoreImage, instruction.DeployDiskImage: RestoreImage,
	instruction.UpdateCache: UpdateCache, instruction.DeleteCachedImage: DeleteCached,
	instruction.PartitionDisk: PartitionDisk, instruction.FormatPartition: PartitionDisk, instruction.InitCache: PartitionDisk,
	instruction.ConfigureOS: ConfigureOS, instruction.WakeUp: WakeUp,
	instruction.Reboot: Reboot, instruction.BootOS: BootDisk, instruction.PowerOff: PowerOff,
}

// resolve makes the step of a statement: from here on it means certain images, whatever is published afterwards.
func (m *Manager) resolve(s instruction.Statement) (Step, error) {
	step := Step{Kind: kinds[s.Word], Statement: s, Image: s.Image}
	switch step.Kind {
	case "":
		return Step{}, fmt.Errorf("line %d: %q cannot be carried out", s.Line, s.Word)
	case RestoreImage:
		plan, err := m.planRestore(requestOf(s))
		if err != nil {
			return Step{}, err
		}
		return plan.step(s), nil
	case UpdateCache:
		return m.resolveImages(step)
	case CreateImage:
		if err := imagestore.CheckName(s.Image); err != nil {
			return Step{}, err
		}
		if err := checkCompressor(s.Compressor, s.Level); err != nil {
			return Step{}, err
		}
		name, _, err := m.cfg.Locate(s.Repository)
		step.Repository = name
		return step, err
	}
	return step, nil
}

// requestOf is what a statement asks to be restored, and where.
func requestOf(s instruction.Statement) RestoreRequest {
	return RestoreRequest{
		Disk: s.Disk, Partition: s.Partition, Repository: s.Repository, Image: s.Image, Revision: s.Revision, Layout: s.Layout,
		Whole: s.Word == instruction.RestoreDiskImage || s.Word == instruction.DeployDiskImage, SetDisk: s.SetDisk,
	}
}

// resolveImages finds the image, or the images of the set, that are to come into the cache.
func (m *Manager) resolveImages(step Step) (Step, error) {
	s := step.Statement
	img, err := m.image(s.Repository, s.Image, s.Revision)
	found := []imagestore.Image{img}
	if errors.Is(err, imagestore.ErrNotFound) && s.Revision == 0 {
		if set, setErr := m.cfg.Images.Set(s.Repository, s.Image); setErr == nil {
			found, err = set, nil
		}
	}
	if err != nil {
		return Step{}, err
	}
	if len(found) == 1 {
		step.Revision = img.Revision
	}
	for _, img := range found {
		part, err := m.located(partOf(img.Source.Partition, img))
		if err != nil {
			return Step{}, err
		}
		step.Parts = append(step.Parts, part)
		step.Repository = part.Image.Repository
	}
	return step, nil
}

// planOf makes a step ready, also after a restart of the server.
func (m *Manager) planOf(step Step) (stepPlan, error) {
	switch step.Kind {
	case RestoreImage:
		return m.planAgain(step)
	case UpdateCache:
		return cachePlan{step: step}, nil
	case DeleteCached:
		return forgetPlan{images: step.Statement.Images}, nil
	case PartitionDisk:
		return schemePlan{disk: step.Statement.Disk, scheme: *step.Statement.Scheme}, nil
	case ConfigureOS:
		return configurePlan{disk: step.Statement.Disk, partitions: step.configured()}, nil
	case CreateImage:
		free, err := m.cfg.Images.Free(step.Repository)
		if err != nil {
			return nil, fmt.Errorf("room in the repository: %w", err)
		}
		return capturePlan{request: captureOf(step), whole: step.Statement.Word == instruction.CreateDiskImage, free: free}, nil
	}
	return powerPlan{kind: step.Kind}, nil
}

func captureOf(step Step) CaptureRequest {
	s := step.Statement
	return CaptureRequest{
		Disk: s.Disk, Partition: s.Partition, Repository: step.Repository, Image: s.Image, Compressor: s.Compressor, Level: s.Level,
	}
}

// A powerPlan restarts PCs, or switches them off or on.
type powerPlan struct{ kind string }

func (p powerPlan) check(pc catalog.Computer, online bool) (Preflight, protocol.Instruct) {
	result := Preflight{ComputerID: pc.ID, Name: pc.Name, Loses: []string{}, Online: online}
	if p.kind != WakeUp {
		result.Failure = reachable(pc, online)
	}
	return result, protocol.Instruct{Kind: p.kind}
}

// A forgetPlan removes images from the caches.
type forgetPlan struct{ images []string }

func (p forgetPlan) check(pc catalog.Computer, online bool) (Preflight, protocol.Instruct) {
	result := Preflight{ComputerID: pc.ID, Name: pc.Name, Loses: []string{}, Online: online, Failure: reachable(pc, online)}
	cache := pc.Inventory.Cache
	if cache == nil && result.Failure == nil {
		result.Failure = refusal(protocol.ErrNotCache, pc.Name+" has no cache partition", "make one with initCache")
	}
	for _, name := range p.images {
		if cache != nil && slices.ContainsFunc(cache.Images, func(c protocol.CachedImage) bool { return c.Name == name }) {
			result.Loses = append(result.Loses, "image "+name+" in the cache")
		}
	}
	return result, protocol.Instruct{Kind: DeleteCached, Cached: p.images}
}

// A capturePlan makes an image of a partition, or images of all partitions of a disk.
type capturePlan struct {
	request CaptureRequest
	whole   bool
	free    int64 // bytes, in the repository
}

func (p capturePlan) check(pc catalog.Computer, online bool) (Preflight, protocol.Instruct) {
	r := p.request
	result := Preflight{ComputerID: pc.ID, Name: pc.Name, Loses: []string{}, Online: online}
	in := protocol.Instruct{
		Kind: CreateImage, Partition: r.Partition, Computer: pc.Name,
		Capture: &protocol.Capture{Repository: r.Repository, Name: r.Image, Compressor: r.Compressor, Level: r.Level},
	}
	if !p.whole {
		in.Disk, result.Failure = checkCapture(pc, online, r, p.free)
		return result, in
	}
	in.Disk, in.Capture.Partitions, result.Failure = checkDiskCapture(pc, online, r, p.free)
	return result, in
}
