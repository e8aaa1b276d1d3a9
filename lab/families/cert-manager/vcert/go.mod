// An empty stand-in for the client of Venafi, which no package of the lab's cert-manager imports but
// which its go.mod requires.
module github.com/Venafi/vcert/v5

go 1.26.0
