package doctor

import (
	"bytes"
	"context"
	"debug/pe"
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"strconv"

	"aula/clientos"
	"aula/netboot/loader"
)

// A program is what is known of one that UEFI starts.
type program struct {
	name   string
	sbat   map[string]int // generations of its parts, by SBAT (shim's SBAT.md)
	signed bool           // it has a certificate table; whose certificates there are is the firmware's to judge
	err    error
}

// bootFacts are what PCs boot.
type bootFacts struct {
	clientOS error
	loaders  error
	programs []program
	describe string
}

// generations are those below which firmware that had Microsoft's updates of 2023 refuses a program (SBAT revocations 2023012900 and 2024010900).
var generations = map[string]int{"shim": 4, "grub": 4}

// verified are the programs that Secure Boot looks at, and their parts whose generation counts.
var verified = map[string]string{loader.ShimEFI: "shim", loader.GRUBEFI: "grub", loader.MokEFI: ""}

func testBootFiles(_ context.Context, _ *machine) []Result {
	image := clientos.Embedded()
	f := bootFacts{clientOS: image.Check(), loaders: loader.Check(loader.Files()), describe: image.Describe()}
	if f.loaders == nil {
		for _, name := range []string{loader.ShimEFI, loader.GRUBEFI, loader.MokEFI} {
			f.programs = append(f.programs, readProgram(loader.Files(), name))
		}
	}
	return judgeBootFiles(f)
}

func judgeBootFiles(f bootFacts) []Result {
	client := Result{"client OS", OK, f.describe, ""}
	if f.clientOS != nil {
		client = Result{"client OS", Problem, f.clientOS.Error(), "install a program of Aula that was built whole"}
	}
	return []Result{client, judgeLoaders(f)}
}

func judgeLoaders(f bootFacts) Result {
	const test, replace = "boot loaders", "install a program of Aula that was built with Debian's current loaders; until then, switch Secure Boot off in the firmware of the PCs"
	if f.loaders != nil {
		return Result{test, Problem, f.loaders.Error(), "install a program of Aula that was built whole"}
	}
	for _, p := range f.programs {
		part := verified[p.name]
		switch {
		case p.err != nil:
			return Result{test, Problem, fmt.Sprintf("%s cannot be read: %v", p.name, p.err), replace}
		case !p.signed:
			return Result{test, Problem, p.name + " is not signed: PCs with Secure Boot refuse it", replace}
		case part != "" && p.sbat[part] < generations[part]:
			return Result{test, Problem, fmt.Sprintf("%s is of generation %d: PCs with Secure Boot and current firmware want %d", p.name, p.sbat[part], generations[part]), replace}
		}
	}
	return Result{test, OK, "all there, signed for Secure Boot, and new enough for it", ""}
}

// readProgram looks into a program of UEFI.
func readProgram(files fs.FS, name string) program {
	p := program{name: name}
	var data []byte
	if data, p.err = fs.ReadFile(files, name); p.err == nil {
		p.sbat, p.signed, p.err = parseProgram(data)
	}
	return p
}

// parseProgram reads a program's SBAT and whether it has a certificate table (Microsoft's PE format, "The attribute certificate table").
func parseProgram(data []byte) (sbat map[string]int, signed bool, err error) {
	image, err := pe.NewFile(bytes.NewReader(data))
	if err != nil {
		return nil, false, err
	}
	header, ok := image.OptionalHeader.(*pe.OptionalHeader64)
	if !ok {
		return nil, false, errors.New("it is not of 64 bits")
	}
	if header.NumberOfRvaAndSizes > pe.IMAGE_DIRECTORY_ENTRY_SECURITY {
		table := header.DataDirectory[pe.IMAGE_DIRECTORY_ENTRY_SECURITY] // its address is an offset in the file
		const smallest = 8
		signed = table.VirtualAddress > 0 && table.Size > smallest && uint64(table.VirtualAddress)+uint64(table.Size) <= uint64(len(data))
	}
	section := image.Section(".sbat")
	if section == nil {
		return nil, signed, nil
	}
	text, err := section.Data()
	if err != nil {
		return nil, signed, err
	}
	if n := min(uint32(len(text)), section.VirtualSize); n > 0 {
		text = text[:n]
	}
	return parseSBAT(text), signed, nil
}

// parseSBAT reads lines of PART,GENERATION,VENDOR,... up to the first byte of zero. Lines that are none are left out.
func parseSBAT(text []byte) map[string]int {
	if end := bytes.IndexByte(text, 0); end >= 0 {
		text = text[:end]
	}
	all := make(map[string]int)
	for line := range bytes.Lines(text) {
		r := csv.NewReader(bytes.NewReader(line))
		r.LazyQuotes = true
		fields, err := r.Read()
		if err != nil || len(fields) < 2 {
			continue
		}
		if n, err := strconv.Atoi(fields[1]); err == nil {
			all[fields[0]] = n
		}
	}
	return all
}
