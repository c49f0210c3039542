import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'

/** What a consumer sees of one entry point. */
export interface Entry {
  /** What a consumer imports, such as `terminal-upstream/proxy`. */
  readonly module: string
  /**
   * The declarations of what it exports, sorted and without comments, and then of what else these name. What another
   * entry point exports first is not repeated.
   */
  readonly code: string
}

const printer = ts.createPrinter({ removeComments: true })

/** Reads the declarations of an installed package. */
export function readDeclarations(installed: string): Entry[] {
  const { name, exports } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8')) as {
    name: string
    exports: Record<string, { import?: { types: string } }>
  }
  const doors = Object.entries(exports).flatMap(([path, { import: target }]) =>
    target ? [{ module: `${name}${path.slice(1)}`, file: join(installed, target.types) }] : [],
  )
  const program = ts.createProgram(
    doors.map(({ file }) => file),
    { module: ts.ModuleKind.NodeNext, types: ['node'] },
  )
  const checker = program.getTypeChecker()
  const resolve = (symbol: ts.Symbol): ts.Symbol =>
    symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol
  const modules = doors.map(({ module, file }) => {
    const source = program.getSourceFile(file)
    const symbol = source && checker.getSymbolAtLocation(source)
    const exported = symbol ? checker.getExportsOfModule(symbol).map(resolve) : []
    return { module, exported: exported.sort((a, b) => (a.name < b.name ? -1 : 1)) }
  })
  const homeOf = (symbol: ts.Symbol): string | undefined =>
    modules.find((each) => each.exported.includes(symbol))?.module
  return modules.map(({ module, exported }) => {
    const imports = new Set<string>()
    // What the declarations name and no entry point exports.
    const others = new Set<ts.Symbol>()

    const isOurs = ({ parent }: ts.Node): boolean => ts.isSourceFile(parent) && parent.fileName.startsWith(installed)
    // Finds out where each type comes from that a declaration names.
    const visit = (node: ts.Node): void => {
      const local = ts.isIdentifier(node) && checker.getSymbolAtLocation(node)
      if (local) {
        const symbol = resolve(local)
        const from = specifierOf(local) ?? homeOf(symbol)
        const [declaration] = symbol.declarations ?? []
        if (from) {
          if (from !== module) imports.add(`import type { ${symbol.name} } from '${from}'`)
        } else if (declaration && isOurs(statementOf(declaration))) {
          others.add(symbol)
        }
      }
      ts.forEachChild(node, visit)
    }
    const print = ({ declarations = [] }: ts.Symbol): string[] =>
      declarations.map((declaration) => {
        visit(declaration)
        return printer.printNode(ts.EmitHint.Unspecified, statementOf(declaration), declaration.getSourceFile())
      })
    const code = exported.flatMap((symbol) =>
      homeOf(symbol) === module
        ? print(symbol).map((text) => `export ${text}`)
        : `export type { ${symbol.name} } from '${homeOf(symbol)}'`,
    )
    // A set that grows while it is read: these may name more.
    for (const symbol of others) code.push(...print(symbol))
    return { module, code: [[...imports].sort().join('\n'), ...code].join('\n\n') }
  })
}

/** Returns the statement that declares something: a constant is only a part of one. */
function statementOf(declaration: ts.Declaration): ts.Node {
  return ts.isVariableDeclaration(declaration) ? declaration.parent.parent : declaration
}

/** Returns the package that a name is imported from. */
function specifierOf({ declarations: [declaration] = [] }: ts.Symbol): string | undefined {
  if (!declaration || !ts.isImportSpecifier(declaration)) return undefined
  const { moduleSpecifier } = declaration.parent.parent.parent
  return ts.isStringLiteral(moduleSpecifier) && !moduleSpecifier.text.startsWith('.') ? moduleSpecifier.text : undefined
}
