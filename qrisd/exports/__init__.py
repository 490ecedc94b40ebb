"""Tables as files for spreadsheets: what becomes of text, and how CSV and XLSX are written."""
