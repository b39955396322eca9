package build

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"strings"
)

// modinfo is the section with which a kernel module describes itself.
func modinfo(pairs ...string) section {
	return section{".modinfo", elf.SHT_PROGBITS, []byte(strings.Join(pairs, "\x00") + "\x00")}
}

// dynamic is the sections with which a program asks for libraries.
func dynamic(libraries ...string) []section {
	var table, names bytes.Buffer
	names.WriteByte(0)
	for _, library := range libraries {
		binary.Write(&table, binary.LittleEndian, elf.Dyn64{Tag: int64(elf.DT_NEEDED), Val: uint64(names.Len())})
		names.WriteString(library + "\x00")
	}
	binary.Write(&table, binary.LittleEndian, elf.Dyn64{Tag: int64(elf.DT_NULL)})
	// The table of the names comes first, so that it has number 1.
	return []section{{".dynstr", elf.SHT_STRTAB, names.Bytes()}, {".dynamic", elf.SHT_DYNAMIC, table.Bytes()}}
}

type section struct {
	name string
	kind elf.SectionType
	data []byte
}

// elfFile is the smallest ELF file with those sections and, unless it is empty, that loader.
func elfFile(interpreter string, sections ...section) []byte {
	const headerSize, programSize, sectionSize = 64, 56, 64
	var body bytes.Buffer // of the file, after the headers
	at := func() uint64 { return uint64(headerSize + programSize + body.Len()) }

	program := elf.Prog64{Type: uint32(elf.PT_NULL)}
	if interpreter != "" {
		program = elf.Prog64{Type: uint32(elf.PT_INTERP), Off: at(), Filesz: uint64(len(interpreter) + 1)}
		body.WriteString(interpreter + "\x00")
	}
	names := bytes.NewBufferString("\x00")
	headers := []elf.Section64{{}} // the first is empty
	for _, s := range append(sections, section{".shstrtab", elf.SHT_STRTAB, nil}) {
		header := elf.Section64{Name: uint32(names.Len()), Type: uint32(s.kind), Off: at(), Size: uint64(len(s.data)), Addralign: 1}
		names.WriteString(s.name + "\x00")
		if s.kind == elf.SHT_DYNAMIC {
			header.Link, header.Entsize = 1, 16
		}
		if s.name == ".shstrtab" {
			s.data = names.Bytes()
			header.Size = uint64(len(s.data))
		}
		body.Write(s.data)
		headers = append(headers, header)
	}
	header := elf.Header64{
		Type: uint16(elf.ET_REL), Machine: uint16(elf.EM_X86_64), Version: 1, Phoff: headerSize, Shoff: at(),
		Ehsize: headerSize, Phentsize: programSize, Phnum: 1,
		Shentsize: sectionSize, Shnum: uint16(len(headers)), Shstrndx: uint16(len(headers) - 1),
	}
	copy(header.Ident[:], "\x7fELF\x02\x01\x01") // 64 bits, little endian, version 1

	var file bytes.Buffer
	binary.Write(&file, binary.LittleEndian, header)
	binary.Write(&file, binary.LittleEndian, program)
	file.Write(body.Bytes())
	binary.Write(&file, binary.LittleEndian, headers)
	return file.Bytes()
}
