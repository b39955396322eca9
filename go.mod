module aula

go 1.26
