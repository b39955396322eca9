package incorporation

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"aula/imagestore/format"
	"aula/imagestore/format/qcow2"
)

// partimageMagic is what every partimage volume begins with; its number follows at byte 96, and the image's at 100.
const partimageMagic = "PaRtImAgE-VoLuMe"

// recognise tells by the bytes what files are and how they become an image. It answers an error wrapping format.ErrNotImage,
// format.ErrUnsupported or format.ErrCorrupt that names the files.
func (x *examiner) recognise(v volumes) (source, format.Info, error) {
	src := source{volumes: v}
	if v.pieces[0].size == 0 {
		return src, format.Info{}, fmt.Errorf("%s: %w: it is empty", v.words(), format.ErrNotImage)
	}
	var err error
	if src.how, err = x.making(v); err != nil {
		return src, format.Info{}, err
	}
	file := src.image(x.ctx)
	defer file.Close()
	image, err := format.NewReader(file)
	if err != nil {
		if ctxErr := x.ctx.Err(); ctxErr != nil {
			err = ctxErr
		}
		return src, format.Info{}, fmt.Errorf("%s: %w%s", v.words(), err, x.advice(err, v.pieces[0]))
	}
	defer image.Close()
	info := image.Info()
	if src.how == asIs && info.Tool == format.Raw && info.Compressor == format.None {
		src.how = packed
	}
	return src, info, nil
}

// advice says what helps with a file that is not read.
func (x *examiner) advice(err error, p piece) string {
	if !errors.Is(err, format.ErrUnsupported) {
		return ""
	}
	head, readErr := rawHead(x, p, maxDiskMagic)
	if readErr != nil || !isVirtualDisk(head) {
		return ""
	}
	return "; `qemu-img convert -O qcow2 OLD NEW` makes a file that can be read"
}

// maxDiskMagic is the length of the longest of virtual disks' magic numbers.
const maxDiskMagic = 8

// isVirtualDisk tells by its first bytes whether a file is a virtual machine's disk that qemu-img reads.
func isVirtualDisk(head []byte) bool {
	for _, magic := range []string{"vhdxfile", "conectix", "KDMV"} { // VHDX, dynamic VHD, VMDK
		if bytes.HasPrefix(head, []byte(magic)) {
			return true
		}
	}
	return false
}

// making tells how files become an image, and refuses what is no whole one.
func (x *examiner) making(v volumes) (making, error) {
	head, err := rawHead(x, v.pieces[0], len(qcow2.Magic))
	if err != nil {
		return 0, err
	}
	if string(head) == qcow2.Magic {
		return qemu, checkQCOW2(v)
	}
	number, id, ok := x.partimageVolume(v.pieces[0])
	if !ok {
		return asIs, nil
	}
	if number != 0 {
		return 0, fmt.Errorf("%s: it is volume %d of a partimage image: import all its volumes together, from 000 on", v.words(), number)
	}
	if len(v.pieces) == 1 {
		return asIs, nil
	}
	for i, p := range v.pieces[1:] {
		n, other, ok := x.partimageVolume(p)
		switch {
		case !ok && i == 0:
			return asIs, nil // one volume that was split later
		case !ok:
			return 0, fmt.Errorf("%s: %w: it is no volume of a partimage image, as those before it are", p.name, format.ErrCorrupt)
		case other != id:
			return 0, fmt.Errorf("%s is a volume of another partimage image than %s", p.name, v.pieces[0].name)
		case int(n) != i+1:
			return 0, fmt.Errorf("%s says that it is volume %d of its image, and volume %d should be in its place: is a volume missing or misnamed?", p.name, n, i+1)
		}
	}
	return joined, nil
}

// partimageVolume reads the header of a partimage volume. ok is false for what is none.
func (x *examiner) partimageVolume(p piece) (number uint32, id uint64, ok bool) {
	head, err := plainHead(x.ctx, source{volumes: volumes{p.name, []piece{p}}}, 108)
	if err != nil || len(head) < 108 || string(head[:len(partimageMagic)]) != partimageMagic {
		return 0, 0, false
	}
	return binary.LittleEndian.Uint32(head[96:]), binary.LittleEndian.Uint64(head[100:]), true
}

// rawHead reads the first bytes of a file, or all of a shorter one.
func rawHead(x *examiner, p piece, n int) ([]byte, error) {
	r := &pieceReader{ctx: x.ctx, piece: p}
	defer r.Close()
	head := make([]byte, n)
	n, err := io.ReadFull(r, head)
	if err == io.ErrUnexpectedEOF || err == io.EOF {
		err = nil
	}
	return head[:n], err
}

// Bounds of the disk that a qcow2 file may claim. A new virtual machine's disk is mostly holes, but something is on it: an image of
// a disk of more than diskGrace takes a file of at least a thousandth of that.
const (
	maxDisk   = 16 << 40
	diskRatio = 1000
	diskGrace = 256 << 30
)

// checkQCOW2 refuses a qcow2 file that cannot be read, or that claims a disk out of all proportion to it: packing the holes of such
// a disk would take hours, and every PC would have to unpack them.
func checkQCOW2(v volumes) error {
	if len(v.pieces) > 1 {
		return fmt.Errorf("%s: a qcow2 file that was split: join it first (cat %s* > NAME.qcow2)", v.words(), v.stem)
	}
	p := v.pieces[0]
	f, err := p.open()
	if err != nil {
		return err
	}
	defer f.Close()
	d, err := qcow2.Open(f, p.size)
	if err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	if d.Size() > maxDisk || d.Size() > diskGrace && d.Size()/diskRatio > p.size {
		return fmt.Errorf("%s: %w: it claims a disk of %d GiB and holds %d KiB", p.name, format.ErrCorrupt, d.Size()>>30, p.size>>10)
	}
	return nil
}
