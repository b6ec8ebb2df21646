"""$metadata: reduced to what the mapping uses, in flat memory, with nothing from outside."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mappers.onec.csdl import reduced

HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<edmx:Edmx xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx" Version="1.0"><edmx:DataServices '
    'xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata" m:DataServiceVersion="3.0">'
    '<Schema xmlns="http://schemas.microsoft.com/ado/2009/11/edm" Namespace="StandardODATA">'
)
TAIL = "</Schema></edmx:DataServices></edmx:Edmx>"
INVOICE = (
    '<EntityType Name="Document_Счет" OpenType="true"><Key><PropertyRef Name="Ref_Key"/></Key>'
    '<Property Name="Ref_Key" Type="Edm.Guid" Nullable="false"/>'
    '<Property Name="Комментарий" Type="Edm.String" Nullable="true"/>'
    '<Property Name="Description" Type="Edm.String" MaxLength="150" Nullable="true"/>'
    '<Property Name="Товары" Type="Collection(StandardODATA.Document_Счет_Товары_RowType)"/>'
    '<NavigationProperty Name="Контрагент" Relationship="StandardODATA.X" FromRole="Begin" ToRole="End"/></EntityType>'
)
ROW = '<Property Name="LineNumber" Type="Edm.Int64"/><Property Name="Цена" Type="Edm.Double"/>'
ROW_TYPE = f'<ComplexType Name="Document_Счет_Товары_RowType">{ROW}</ComplexType>'
ROW_SET = f'<EntityType Name="Document_Счет_Товары"><Key><PropertyRef Name="LineNumber"/></Key>{ROW}</EntityType>'
VAT = '<EnumType Name="{}"><Member Name="НДС22" Value="0"/><Member Name="БезНДС" Value="1"/></EnumType>'
SETS = ("Document_Счет", "Document_Счет_Товары", "Catalog_Нет")
ENUMS = ("СтавкиНДС",)


def document(*parts: str, head: str = HEAD) -> bytes:
    return (head + "".join(parts) + TAIL).encode()


@pytest.mark.parametrize("rows", [ROW_TYPE, ROW_SET, ROW_TYPE + ROW_SET])
@pytest.mark.parametrize("enum", ["СтавкиНДС", "Enum_СтавкиНДС"])
def test_the_wanted_part_is_kept(rows: str, enum: str) -> None:
    """Fields with their types, sections as entries of their own, enumerations by their plain names."""
    other = INVOICE.replace("Document_Счет", "Document_Другой")
    assert reduced(document(other, INVOICE, rows, VAT.format(enum), VAT.format("см_СтавкиНДС")), SETS, ENUMS) == {
        "sets": {
            "Document_Счет": {
                "Ref_Key": "Edm.Guid",
                "Комментарий": "Edm.String",
                "Description": "Edm.String",
                "Товары": "Collection(StandardODATA.Document_Счет_Товары_RowType)",
            },
            "Document_Счет_Товары": {"LineNumber": "Edm.Int64", "Цена": "Edm.Double"},
        },
        "lengths": {"Document_Счет": {"Description": 150}},
        "enums": {"СтавкиНДС": ["НДС22", "БезНДС"]},
    }


def test_a_name_that_extends_another_is_not_its_section() -> None:
    """Object names hold underscores: only exact names count."""
    model = reduced(document(INVOICE.replace("Document_Счет", "Document_Счет_Копия")), SETS, ENUMS)
    assert model["sets"] == {}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"<!DOCTYPE html><html><body>login</body></html>",
        document(INVOICE)[:-40],
        b"<a/>",
        document(),
    ],
)
def test_what_is_no_metadata_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="metadata"):
        reduced(body, SETS, ENUMS)


BOMB = "".join(f'<!ENTITY e{n + 1} "{f"&e{n};" * 10}">' for n in range(9))


@pytest.mark.parametrize(
    "doctype",
    [
        f'<!DOCTYPE x [<!ENTITY e0 "НДС"> {BOMB}]>',
        '<!DOCTYPE x [<!ENTITY e9 SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE x [<!ENTITY % p SYSTEM "http://127.0.0.1:9/evil.dtd"> %p;]>',
    ],
)
@pytest.mark.parametrize("place", ["attribute", "text", "nowhere"])
def test_entities_and_document_types_are_refused(doctype: str, place: str) -> None:
    head = HEAD.replace("<edmx:Edmx", doctype + "<edmx:Edmx", 1)
    harm = {"attribute": VAT.format("&e9;"), "text": "<EnumType>&e9;</EnumType>", "nowhere": INVOICE}[place]
    with pytest.raises(ValueError, match="metadata"):
        reduced(document(harm, head=head), SETS, ENUMS)


MEASURED = """
import json, resource, sys
from pathlib import Path
from mappers.onec.csdl import reduced
body = Path(sys.argv[1]).read_bytes()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
model = reduced(body, ("Document_Счет", "Document_Счет_Товары"), ("СтавкиНДС",))
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"sets": list(model["sets"]), "enums": model["enums"], "grown_kb": after - before}))
"""


def test_seventeen_megabytes_in_flat_memory(tmp_path: Path) -> None:
    """As large as a real base's, with its thousands of types and associations; what is wanted stands at the end.

    Measured in a process of its own, for the XML library's memory is not Python's.
    """

    def parts() -> Iterator[str]:
        for n in range(4_700):
            name = f"Catalog_Справочник{n}"
            fields = "".join(f'<Property Name="Реквизит{i}_Key" Type="Edm.Guid" Nullable="true"/>' for i in range(45))
            yield f'<EntityType Name="{name}" OpenType="true">{fields}</EntityType>'
            yield f'<Association Name="{name}_А"><End Role="Begin" Type="StandardODATA.{name}"/></Association>' * 2
        sets = "".join(f'<EntitySet Name="Catalog_Справочник{n}" EntityType="StandardODATA.X"/>' for n in range(4_700))
        yield f'<EntityContainer Name="EnterpriseV8">{sets}</EntityContainer>'
        yield INVOICE + ROW_TYPE + VAT.format("СтавкиНДС")

    body = document(*parts())
    assert len(body) > 17_000_000
    file = tmp_path / "metadata.xml"
    file.write_bytes(body)
    run = subprocess.run([sys.executable, "-c", MEASURED, str(file)], capture_output=True, check=True)
    told = json.loads(run.stdout)
    assert told["sets"] == ["Document_Счет", "Document_Счет_Товары"]
    assert told["enums"] == {"СтавкиНДС": ["НДС22", "БезНДС"]}
    assert told["grown_kb"] < 8_000
