"""The report on recordings: charts in one HTML file or as pictures, and a summary in plain sentences."""
